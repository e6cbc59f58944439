// Owns: what tells a directory from every copy of it. It must not know what the directory is for.
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "CLinux.h"

int stint_identify(const char *path, struct stint_identity *identity) {
  memset(identity, 0, sizeof *identity);
  struct statx facts;
  if (statx(AT_FDCWD, path, 0, STATX_INO | STATX_BTIME, &facts) != 0) return -1;
  identity->device = makedev(facts.stx_dev_major, facts.stx_dev_minor);
  identity->inode = facts.stx_ino;
  if (facts.stx_mask & STATX_BTIME)
    identity->birth = facts.stx_btime.tv_sec * 1000000000 + (int64_t)facts.stx_btime.tv_nsec;
  union {
    struct file_handle handle;
    char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  } found;
  memset(&found, 0, sizeof found);
  found.handle.handle_bytes = MAX_HANDLE_SZ;
  int mount = 0;
  // Not every file system has handles, and not every container may ask.
  if (name_to_handle_at(AT_FDCWD, path, &found.handle, &mount, AT_SYMLINK_FOLLOW) != 0) return 0;
  if (found.handle.handle_bytes > sizeof identity->handle) return 0;
  identity->handle_length = (int)found.handle.handle_bytes;
  memcpy(identity->handle, found.handle.f_handle, found.handle.handle_bytes);
  return 0;
}
