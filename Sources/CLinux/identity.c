// Owns: what tells a directory from every copy of it, and with whose rights a thread looks at files. It must not know
// what they are for.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

// Raw calls: the library's change all threads, and a container's child has none of them.
static int set_file_user(uint32_t user, uint32_t group) {
  syscall(SYS_setfsgid, group);
  // Leaving 0 takes the rights of overriding modes out of effect, coming back to it puts them in again (setfsuid(2)).
  syscall(SYS_setfsuid, user);
  // Neither tells whether it did it, but both tell what holds.
  if ((uint32_t)syscall(SYS_setfsgid, -1) == group && (uint32_t)syscall(SYS_setfsuid, -1) == user) return 0;
  return errno = EPERM, -1;
}

int stint_act_as(uint32_t user, uint32_t group, const uint32_t *groups, int group_count, struct stint_actor *former) {
  if (group_count < 0 || group_count > 64) return errno = EINVAL, -1;
  long count = syscall(SYS_getgroups, 64, former->groups);
  if (count < 0) return -1;
  former->group_count = (int32_t)count;
  if (syscall(SYS_setgroups, group_count, groups) != 0) return -1;
  if (set_file_user(user, group) == 0) return 0;
  stint_act_as_before(former);
  return errno = EPERM, -1;
}

int stint_act_as_before(const struct stint_actor *former) {
  if (set_file_user(geteuid(), getegid()) != 0) return -1;
  return (int)syscall(SYS_setgroups, former->group_count, former->groups);
}
