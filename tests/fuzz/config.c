/*
 * The configuration: the bytes as a file, and as the value of a flag --set. What loads prints to a
 * file that loads to the same; a refusal says why; a NUL is never let pass.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "config/settings.h"

#include <string.h>
#include <sys/mman.h>

struct text {
    char *bytes;
    size_t length;
};

/* The path of the one file of this program, with these bytes in it. */
static const char *write_file(const void *data, size_t length)
{
    static int fd = -1;
    static char path[64];
    if (fd < 0) {
        fd = memfd_create("config", MFD_CLOEXEC);
        fuzz_check(fd >= 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    fuzz_check(ftruncate(fd, 0) == 0);
    fuzz_check(pwrite(fd, data, length, 0) == (ssize_t)length);
    return path;
}

/* NULL when it is refused. `set` may be NULL. */
static struct settings *load(const char *path, const char *set)
{
    autoerr struct err err = {0};
    struct settings *settings = NULL;
    char *argv[] = {(char *)"fuzz",  (char *)"--config", (char *)path,
                    (char *)"--set", (char *)set,        NULL};
    int argc = set ? 5 : 3;
    argv[argc] = NULL;
    int rc = settings_load(&argc, argv, &settings, &err);
    fuzz_check((rc == 0) == (settings != NULL));
    if (rc == 0)
        fuzz_check(argc == 1);
    else
        fuzz_check_refusal(rc, &err);
    return settings;
}

static struct text print(const struct settings *settings)
{
    struct text text = {0};
    FILE *out = open_memstream(&text.bytes, &text.length);
    fuzz_check(out != NULL);
    settings_print(settings, out);
    fuzz_check(fclose(out) == 0);
    return text;
}

static void check_print(const struct settings *settings)
{
    struct text text = print(settings);
    struct settings *again = load(write_file(text.bytes, text.length), NULL);
    fuzz_check(again != NULL);
    struct text text_again = print(again);
    fuzz_check(text.length == text_again.length &&
               memcmp(text.bytes, text_again.bytes, text.length) == 0);
    settings_free(again);
    free(text_again.bytes);
    free(text.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct settings *settings = load(write_file(data, length), NULL);
    if (settings) {
        fuzz_check(!length || !memchr(data, '\0', length));
        check_print(settings);
        settings_free(settings);
    }
    autofree char *set = strndup((const char *)data, length);
    fuzz_check(set != NULL);
    settings = load("/dev/null", set);
    if (settings) {
        check_print(settings);
        settings_free(settings);
    }
    return 0;
}

static void seed(const char *text)
{
    fuzz_seed(text, strlen(text));
}

/* A value as long as a line takes. */
static void seed_long_list(void)
{
    char text[16384 + 32];
    size_t used = (size_t)snprintf(text, sizeof text, "[disks]\nallow=");
    size_t end = used + 16382 - strlen("allow=");
    while (used < end)
        text[used] = used % 200 ? 'x' : ',', used++;
    text[used++] = '\n';
    fuzz_seed(text, used);
}

void fuzz_seeds(void)
{
    struct settings *settings = load("/dev/null", NULL);
    fuzz_check(settings != NULL);
    struct text defaults = print(settings);
    fuzz_seed(defaults.bytes, defaults.length);
    free(defaults.bytes);
    settings_free(settings);
    seed("[storaged]\nadmins = 1000, 1001\nlog_level: debug ; here too\n[pools]\ncreate = off\n");
    seed("\xef\xbb\xbf[disks]\r\nallow = /dev/loop* /dev/zram0\r\n[cache]\nsize=1536M\n");
    seed("disks.ssd= /dev/nvme*, serial-7 ");
    seed("[spaces]\nheadroom = 0\n[spaces]\nheadroom = 1\n");
    seed_long_list();
}
