/*
 * What is in the directory of another 0-db, told without loading it: the descriptor of each
 * namespace, its files, and a walk along its index. What looks torn is left for the 0-db that wrote
 * it, which mends it at its start, or for ours, which does the same with the copy.
 */
#include "import_private.h"

#include "base/cleanup.h"
#include "base/name.h"
#include "instance.h"
#include "zdbformat/format.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DESCRIPTOR "zdb-namespace"
#define OLD_INDEX  "zdb-index-00000"

enum { FILE_NAME_MAX = 16 };

/* ---- its name -------------------------------------------------------------------------------- */

static int check_name(const char *name, struct err *err)
{
    if (strcmp(name, "default") == 0)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, name,
                       "the default namespace is not handed out: move its data by a client");
    if (strcmp(name, INSTANCE_CANARY_NAMESPACE) == 0)
        return err_set(err, ERR_FAILED_PRECONDITION, 0, name,
                       "it is the one that another storaged tried its 0-db with");
    return name_check(name, err);
}

/* What a reply can carry. */
static const char *show(const char *name)
{
    return name_check(name, NULL) == 0 ? name : "?";
}

/* ---- its files ------------------------------------------------------------------------------- */

static int measure(int dir, struct import_report *report, struct err *err)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream)
        return err_errno(err, errno, NULL, "cannot list its files");
    for (const struct dirent *entry; (entry = readdir(stream));) {
        const char *name = entry->d_name;
        struct stat status;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return err_errno(err, errno, NULL, "cannot look at its file \"%s\"", show(name));
        if (S_ISLNK(status.st_mode))
            return err_set(err, ERR_FAILED_PRECONDITION, 0, NULL,
                           "\"%s\" in it is a link, which is not followed", show(name));
        if (!S_ISREG(status.st_mode))
            return err_set(err, ERR_FAILED_PRECONDITION, 0, NULL, "\"%s\" in it is no plain file",
                           show(name));
        uint64_t bytes = (uint64_t)status.st_size;
        report->disk_bytes += bytes;
        report->file_bytes = bytes > report->file_bytes ? bytes : report->file_bytes;
    }
    return 0;
}

static FILE *open_file(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "re");
    if (fd >= 0 && !file)
        (void)close(fd);
    return file;
}

static int read_descriptor(int dir, const char *name, struct import_report *report, struct err *err)
{
    struct format_descriptor head;
    struct stat status;
    char said[UINT8_MAX + 1] = "";
    FILE *file = open_file(dir, DESCRIPTOR);
    if (!file && errno == ENOENT)
        return fstatat(dir, OLD_INDEX, &status, AT_SYMLINK_NOFOLLOW) == 0
                   ? err_set(err, ERR_FAILED_PRECONDITION, 0, name,
                             "it is in the format of 0-db 1, which only its own tools convert")
                   : err_set(err, ERR_FAILED_PRECONDITION, 0, name,
                             "it has no descriptor, so nobody knows who may use it");
    if (!file)
        return err_errno(err, errno, name, "cannot read its descriptor");
    bool whole =
        fread(&head, sizeof head, 1, file) == 1 && head.version == FORMAT_NAMESPACE_VERSION &&
        (head.flags & FORMAT_ALWAYS) && fread(said, 1, head.name_size, file) == head.name_size &&
        fseek(file, head.password_size, SEEK_CUR) == 0 && strcmp(said, name) == 0 &&
        fstat(fileno(file), &status) == 0 &&
        (uint64_t)status.st_size >= sizeof head + (uint64_t)head.name_size + head.password_size;
    (void)fclose(file);
    if (!whole)
        return err_set(err, ERR_DATA_LOSS, 0, name, "its descriptor is damaged");
    report->limit_bytes = head.maxsize;
    report->public = head.flags & FORMAT_PUBLIC;
    report->password = head.password_size > 0;
    return 0;
}

/* ---- its index ------------------------------------------------------------------------------- */

struct walk {
    const struct import_pair *pair;
    struct import_report *report;
    uint32_t data_file; /* whose size is known */
    uint64_t data_size;
};

static int damaged(const struct walk *walk, const char *what, uint32_t id, struct err *err)
{
    return err_set(err, ERR_DATA_LOSS, 0, walk->report->name,
                   "%s%u is damaged: start and stop its own 0-db, which may mend it", what, id);
}

/* A value that the index has and the data has not would come back as the one before it. */
static int check_value(struct walk *walk, uint32_t file, const struct format_index_entry *entry,
                       struct err *err)
{
    uint64_t end = (uint64_t)entry->data_offset + format_data_size(entry->key_size, entry->length);
    if (file != walk->data_file || walk->data_size == 0) {
        char name[FILE_NAME_MAX];
        struct stat status;
        (void)snprintf(name, sizeof name, "d%u", file);
        if (fstatat(walk->pair->data, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return err_errno(err, errno, walk->report->name, "cannot look at its data file %s",
                             name);
        walk->data_file = file;
        walk->data_size = (uint64_t)status.st_size;
    }
    return end <= walk->data_size ? 0 : damaged(walk, "its data file d", file, err);
}

/* Up to the end, or to where it is torn. Upstream says 0 for the data file of a new user key, which
 * is in the one of the index file's number. */
static int read_entries(struct walk *walk, FILE *file, uint32_t id, struct err *err)
{
    bool by_entry = walk->report->mode == STORAGE__V1__ZDBMODE__ZDB_MODE_SEQUENTIAL;
    struct format_index_entry entry;
    char key[FORMAT_KEY_MAX];
    while (fread(&entry, sizeof entry, 1, file) == 1 && entry.key_size > 0 &&
           fread(key, 1, entry.key_size, file) == entry.key_size) {
        if (entry.flags & FORMAT_DEAD)
            continue;
        walk->report->entries++;
        int rc = check_value(walk, by_entry ? entry.data_file : id, &entry, err);
        if (rc < 0)
            return rc;
    }
    return ferror(file)
               ? err_errno(err, errno, walk->report->name, "cannot read its index file i%u", id)
               : 0;
}

static int read_index_file(struct walk *walk, FILE *file, uint32_t id, struct err *err)
{
    struct format_index_header head;
    if (fread(&head, sizeof head, 1, file) != 1 || memcmp(head.magic, "IDX0", 4) != 0 ||
        head.version != FORMAT_INDEX_VERSION || head.mode > FORMAT_SEQ)
        return damaged(walk, "its index file i", id, err);
    walk->report->mode = head.mode == FORMAT_SEQ ? STORAGE__V1__ZDBMODE__ZDB_MODE_SEQUENTIAL
                                                 : STORAGE__V1__ZDBMODE__ZDB_MODE_USER;
    return read_entries(walk, file, id, err);
}

static int read_index(const struct import_pair *pair, struct import_report *report, struct err *err)
{
    struct walk walk = {.pair = pair, .report = report};
    for (uint32_t id = 0;; id++) {
        char name[FILE_NAME_MAX];
        (void)snprintf(name, sizeof name, "i%u", id);
        FILE *file = open_file(pair->index, name);
        if (!file && errno == ENOENT && id > 0)
            return 0;
        if (!file)
            return err_errno(err, errno, report->name, "cannot open its index file %s", name);
        int rc = read_index_file(&walk, file, id, err);
        (void)fclose(file);
        if (rc < 0)
            return rc;
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int examine(const struct import_source *source, const char *name,
                   struct import_report *report, struct err *err)
{
    struct import_pair pair = {-1, -1};
    int named = check_name(name, err);
    struct err *why = named < 0 ? NULL : err;
    int rc = import_pair_open(&pair, source, name, why);
    if (rc == 0)
        rc = measure(pair.index, report, why);
    if (rc == 0)
        rc = measure(pair.data, report, why);
    if (named < 0)
        rc = named;
    if (rc == 0)
        rc = read_descriptor(pair.index, name, report, err);
    if (rc == 0)
        rc = read_index(&pair, report, err);
    import_pair_close(&pair);
    return rc;
}

static void report_one(const struct import_source *source, const char *name)
{
    struct import_report report = {.kind = IMPORT_FOUND};
    autoerr struct err err = {0};
    (void)snprintf(report.name, sizeof report.name, "%s", show(name));
    if (examine(source, name, &report, &err) < 0) {
        report.kind = IMPORT_LEFT;
        (void)snprintf(report.reason, sizeof report.reason, "%s", err.message);
    }
    import_send(&report);
}

/* All but plain files, which are none of a namespace's. */
static bool is_candidate(int root, const char *name)
{
    struct stat status;
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           fstatat(root, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(status.st_mode);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int list(int root, char *names[IMPORT_NAMESPACES_MAX], size_t *n, struct err *err)
{
    int copy = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    autodir DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream)
        return err_errno(err, errno, NULL, "cannot list the namespaces");
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (!is_candidate(root, entry->d_name))
            continue;
        if (*n == IMPORT_NAMESPACES_MAX)
            return err_set(err, ERR_RESOURCE_EXHAUSTED, 0, NULL,
                           "there are more than %d namespaces, which is the most of one import",
                           IMPORT_NAMESPACES_MAX);
        names[*n] = strdup(entry->d_name);
        if (!names[(*n)++])
            return err_errno(err, ENOMEM, NULL, "cannot list the namespaces");
    }
    qsort(names, *n, sizeof *names, compare_names);
    return 0;
}

int import_scan(const char *data_path, const char *index_path, struct err *err)
{
    static char *names[IMPORT_NAMESPACES_MAX];
    struct import_source source = IMPORT_SOURCE_INIT;
    size_t n = 0;
    int rc = import_source_open(&source, data_path, index_path, err);
    if (rc == 0)
        rc = list(source.index, names, &n, err);
    for (size_t i = 0; i < n; i++) {
        if (rc == 0 && names[i])
            report_one(&source, names[i]);
        free(names[i]);
    }
    import_source_close(&source);
    return rc;
}
