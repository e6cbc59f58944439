// Owns: a program that what it starts cannot change. It must not know what it starts.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "CLinux.h"

extern char **environ;

int stint_is_sealed(void) {
  struct statvfs facts;
  return statvfs("/proc/self/exe", &facts) == 0 && (facts.f_flag & ST_RDONLY) != 0;
}

int stint_seal(char *const arguments[]) {
  int program = open("/proc/self/exe", O_PATH | O_CLOEXEC);
  if (program < 0) return -1;
  int sealed = open_tree(program, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
  if (sealed >= 0 && mount_setattr(sealed, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0)
    execveat(sealed, "", arguments, environ, AT_EMPTY_PATH);
  int error = errno;
  if (sealed >= 0) close(sealed);
  close(program);
  errno = error;
  return -1;
}
