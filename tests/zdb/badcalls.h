/*
 * Calls that fail in the server under test as no disk at hand does: a library that is preloaded
 * into it, and a page that it shares with the test.
 *
 * A file whose sync fails loses what was appended since the last one that did not, as a kernel
 * does that marks pages clean which it could not write: it is gone once the server has it read from
 * the disk again, and there until then.
 */
#ifndef TESTS_ZDB_BADCALLS_H
#define TESTS_ZDB_BADCALLS_H

enum badcall {
    BADCALL_NONE,
    BADCALL_SYNC,
    BADCALL_WRITE,
    BADCALL_TRUNCATE,
    BADCALL_RENAME,
    BADCALL_ALLOCATE,
    BADCALL_UNLINK,
    BADCALL_MKDIR,
    BADCALL_OPEN,
    BADCALL_END,
};

/* In the file that BADCALLS names. */
struct badcalls {
    _Atomic int call; /* of enum badcall */
    _Atomic int also; /* of another kind, counted with the first */
    _Atomic int skip; /* so many succeed first */
    _Atomic int fail; /* then so many fail */
    _Atomic int error;
    _Atomic int failed; /* that have */
    /* Syncs of threads but the first wait for one of these; below 0: for nothing. */
    _Atomic int tickets;
    _Atomic int waited;       /* that had to, ever */
    _Atomic int synced;       /* syncs that were asked for */
    _Atomic int forgotten;    /* files that the kernel was to read from the disk again */
    _Atomic int unlinks_held; /* unlinks of threads but the first wait for its end */
};

#endif
