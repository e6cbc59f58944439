// The marks that keep a file or a directory as it is, whoever asks: immutable (chattr +i) and append only (+a). Apart from
// the other calls, since <linux/fs.h> does not go with <sys/mount.h> everywhere.

#include "CLinux.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

int stint_clear_marks(int descriptor) {
  int flags = 0;
  if (ioctl(descriptor, FS_IOC_GETFLAGS, &flags) != 0) {
    // This file system has none.
    return errno == ENOTTY || errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -1;
  }
  if (!(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))) return 0;
  flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
  return ioctl(descriptor, FS_IOC_SETFLAGS, &flags);
}
