/* SHA-1 is the protocol's choice, and nettle's. */
#include "secret.h"

#include <nettle/memops.h>
#include <nettle/sha1.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { ROOM = 256 };

bool secret_equal(const void *given, size_t size, const char *password)
{
    uint8_t left[ROOM] = {0}, right[ROOM] = {0};
    size_t length = strlen(password);
    memcpy(left, given, size < ROOM ? size : ROOM);
    memcpy(right, password, length < ROOM ? length : ROOM);
    bool same = memeql_sec(left, right, ROOM);
    return same && size == length;
}

static void format_hex(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

bool secret_hash_equal(const void *given, const char *nonce, const char *password)
{
    struct sha1_ctx sha1;
    uint8_t digest[SHA1_DIGEST_SIZE];
    char expected[SECRET_HASH + 1];
    sha1_init(&sha1);
    sha1_update(&sha1, strlen(nonce), (const uint8_t *)nonce);
    sha1_update(&sha1, 1, (const uint8_t *)":");
    sha1_update(&sha1, strlen(password), (const uint8_t *)password);
    sha1_digest(&sha1, sizeof digest, digest);
    format_hex(digest, sizeof digest, expected);
    return memeql_sec(given, expected, SECRET_HASH);
}

bool secret_nonce(char out_nonce[SECRET_NONCE + 1])
{
    uint8_t bytes[SECRET_NONCE / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return false;
    format_hex(bytes, sizeof bytes, out_nonce);
    return true;
}
