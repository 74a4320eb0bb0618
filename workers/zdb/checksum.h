/*
 * The checksum of payloads: CRC-32C's polynomial from 0 and without the last inversion, so that
 * "123456789" gives 0x58e3fa20. By the CPU's instruction where it has one.
 */
#ifndef WORKERS_ZDB_CHECKSUM_H
#define WORKERS_ZDB_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t checksum(const void *data, size_t length);

#endif
