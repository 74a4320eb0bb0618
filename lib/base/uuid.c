/* UUIDs, see the header. */
#include "base/uuid.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha1.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

void uuid_format(const uint8_t bytes[16], char out_text[UUID_TEXT_SIZE])
{
    char *at = out_text;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        at += snprintf(at, 3, "%02x", bytes[i]);
    }
}

static void set_version(uint8_t bytes[16], unsigned version)
{
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | version << 4);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
}

void uuid_derive(const char *const *names, size_t n, char out_text[UUID_TEXT_SIZE])
{
    struct sha1_ctx sha1;
    uint8_t digest[SHA1_DIGEST_SIZE];
    sha1_init(&sha1);
    for (size_t i = 0; i < n; i++)
        sha1_update(&sha1, strlen(names[i]) + 1, (const uint8_t *)names[i]);
    sha1_digest(&sha1, sizeof digest, digest);
    set_version(digest, 5);
    uuid_format(digest, out_text);
}

void uuid_random(char out_text[UUID_TEXT_SIZE])
{
    uint8_t bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        log_fatal("getrandom gave no 16 bytes");
    set_version(bytes, 4);
    uuid_format(bytes, out_text);
}

bool uuid_valid(const char *text)
{
    if (strlen(text) != UUID_TEXT_SIZE - 1)
        return false;
    for (int i = 0; i < UUID_TEXT_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
            return false;
    }
    return true;
}

int uuid_of_boot(char out_text[UUID_TEXT_SIZE])
{
    char text[UUID_TEXT_SIZE] = "";
    autoclose int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        return -errno;
    if (!uuid_valid(text))
        return -EBADMSG;
    memcpy(out_text, text, sizeof text);
    return 0;
}
