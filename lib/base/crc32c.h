/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78, initial value and final XOR 0xffffffff, RFC
 * 3720 appendix B.4). "123456789" gives 0xe3069283.
 */
#ifndef LIB_BASE_CRC32C_H
#define LIB_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues from `crc`; start with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t length);

#endif
