// What the two files of mount operations share: mounts.c runs any container's, rootfs.c those that an image's container
// needs beside them. Not for Swift.
#ifndef STINT_MOUNTS_H
#define STINT_MOUNTS_H

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

#include "pod.h"

enum { STINT_OWN_LIMIT = 64 };

struct mounts {
  const struct container_start *start;
  int root;                       // where destinations are resolved
  dev_t own[STINT_OWN_LIMIT];     // file systems made here: only they may get new files
  int own_count;
  // The last of them that things are made in, and where it is: nothing but what was made here is in it, so that names
  // in it need no way from the root. -1: none.
  int recent;
  const char *recent_path;
  int null, empty;                // what files and directories are masked with, once there was one; else -1
};

struct operation {
  struct stint_operation head;
  const char *source, *destination, *detail;
  int tree;  // of a bind: a detached clone of its source; else -1
};

static inline int stint_close_keeping_errno(int descriptor) {
  int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

// What `path` is in the current root, links followed inside it; a descriptor with O_PATH, or -1 and errno.
int stint_open_destination(const struct mounts *mounts, const char *path);

// Destinations are resolved in that directory from here on; it is taken over.
void stint_new_root(struct mounts *mounts, int root);

// Mounts a file system of the kernel's, that nothing is made in, on what `path` is in the current root. 0, or -1 and errno.
int stint_mount_kernel(struct mounts *mounts, const char *type, const char *path, const char *options,
                       unsigned long flags);

// Mounts a file system on what `path` is in the current root, and remembers it as ours. 0, or -1 and errno.
int stint_mount_on(struct mounts *mounts, const char *type, const char *path, const char *options, unsigned long flags);

// Remembers a file system as ours. 0, or -1 and errno where there are too many.
int stint_own(struct mounts *mounts, dev_t device);

// Mounts a detached tree on what the other descriptor leads to. 0, or -1 and errno.
int stint_attach(int tree, int target);

// Runs one of the operations from STINT_IMAGE on. 0, or -1 and errno.
int stint_root_run(struct mounts *mounts, const struct operation *operation);

#endif
