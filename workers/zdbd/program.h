/* Programs of ours that zdbd executes. */
#ifndef WORKERS_ZDBD_PROGRAM_H
#define WORKERS_ZDBD_PROGRAM_H

/* The path of one that is installed beside ours, allocated; NULL without memory. */
char *program_beside(const char *name);

#endif
