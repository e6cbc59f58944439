// Owns: a container's mounts, as data, executed in its own mount namespace. Every path inside a volume or the new root
// is resolved by the kernel with its escapes forbidden (openat2), and used by descriptor: no name is looked up twice.
// It must not know what the mounts are for. No malloc.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pod.h"

enum { OWN_LIMIT = 64, MIRROR_LIMIT = 512 };

struct mounts {
  const struct container_start *start;
  int root;                 // where destinations are resolved
  dev_t own[OWN_LIMIT];     // file systems made here: only they may get new files
  int own_count;
};

struct operation {
  struct stint_operation head;
  const char *source, *destination, *detail;
};

static int open_inside(int directory, const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  while (*path == '/') path++;
  return (int)syscall(SYS_openat2, directory, *path != 0 ? path : ".", &how, sizeof how);
}

static int open_destination(const struct mounts *mounts, const char *path) {
  return open_inside(mounts->root, path, O_PATH, RESOLVE_IN_ROOT);
}

static void descriptor_path(char path[32], int descriptor) { snprintf(path, 32, "/proc/self/fd/%d", descriptor); }

static int close_keeping_errno(int descriptor) {
  int error = errno;
  close(descriptor);
  errno = error;
  return -1;
}

// Mounts a file system on what `path` is in the current root, and remembers it as ours.
static int mount_on(struct mounts *mounts, const char *type, const char *path, const char *options,
                    unsigned long flags) {
  char target[32];
  int at = open_destination(mounts, path);
  if (at < 0) return -1;
  descriptor_path(target, at);
  int result = mount(type, target, type, flags, options);
  close_keeping_errno(at);
  if (result != 0) return -1;
  struct stat facts;
  at = open_destination(mounts, path);
  if (at < 0) return -1;
  result = fstat(at, &facts);
  close_keeping_errno(at);
  if (result != 0) return -1;
  if (mounts->own_count == OWN_LIMIT) return errno = E2BIG, -1;
  mounts->own[mounts->own_count++] = facts.st_dev;
  return 0;
}

static int is_own(const struct mounts *mounts, int directory) {
  struct stat facts;
  if (fstat(directory, &facts) != 0) return 0;
  for (int index = 0; index < mounts->own_count; index++)
    if (mounts->own[index] == facts.st_dev) return 1;
  errno = EROFS;
  return 0;
}

static int attach(int tree, int target) {
  return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int open_source(const struct operation *operation) {
  int source = open(operation->source, O_PATH | O_CLOEXEC);
  if (source < 0 || *operation->detail == 0) return source;
  // A link inside the volume may point elsewhere inside it, never out of it, however the pod races to change it.
  int below = open_inside(source, operation->detail, O_PATH, RESOLVE_BENEATH);
  close_keeping_errno(source);
  return below;
}

// As the container's user, whom a closed directory on the way keeps out as it would without any mount.
static int open_source_as_user(const struct container_start *start, const struct operation *operation) {
  const struct stint_plan *plan = start->plan;
  struct stint_actor former;
  uint32_t groups[64];
  if (plan->group < 0) return errno = EINVAL, -1;
  if (stint_plan_groups(start, groups) != 0) return -1;
  if (stint_act_as((uint32_t)plan->user, (uint32_t)plan->group, groups, (int)plan->group_count, &former) != 0) return -1;
  int source = open_source(operation), error = errno;
  if (stint_act_as_before(&former) != 0) return source < 0 ? -1 : close_keeping_errno(source);
  errno = error;
  return source;
}

static int bind_mount(const struct mounts *mounts, const struct operation *operation) {
  int as_user = (operation->head.flags & STINT_BIND_AS_USER) != 0 && mounts->start->plan->user >= 0;
  int source = as_user ? open_source_as_user(mounts->start, operation) : open_source(operation);
  if (source < 0) return -1;
  int tree = open_tree(source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  close_keeping_errno(source);
  if (tree < 0) return -1;
  if (operation->head.flags & STINT_BIND_READ_ONLY) {
    // Private: what the host mounts below it later would come in writable.
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
      return close_keeping_errno(tree);
  }
  int target = open_destination(mounts, operation->destination);
  if (target < 0) return close_keeping_errno(tree);
  int result = attach(tree, target);
  close_keeping_errno(target);
  close_keeping_errno(tree);
  return result;
}

// Opens the directory of `path`, making what is missing of it; *name is its last part.
static int open_parent(const struct mounts *mounts, const char *path, const char **name) {
  char part[4096];
  size_t length = strlen(path);
  while (length > 0 && path[length - 1] == '/') length--;
  if (length == 0 || length >= sizeof part) return errno = EINVAL, -1;
  memcpy(part, path, length);
  part[length] = 0;
  char *slash = strrchr(part, '/');
  *name = path + (slash != NULL ? slash + 1 - part : 0);
  if (slash == NULL) slash = part;
  *slash = 0;
  int parent = open_inside(mounts->root, part, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
  if (parent >= 0 || errno != ENOENT) return parent;
  const char *last;
  int above = open_parent(mounts, part, &last);
  if (above < 0) return -1;
  if (!is_own(mounts, above) || (mkdirat(above, last, 0755) != 0 && errno != EEXIST)) return close_keeping_errno(above);
  close(above);
  return open_inside(mounts->root, part, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
}

static int make(const struct mounts *mounts, const struct operation *operation) {
  int existing = open_destination(mounts, operation->destination);
  if (existing >= 0) return close(existing);
  const char *name;
  int parent = open_parent(mounts, operation->destination, &name);
  if (parent < 0) return -1;
  char last[256];
  snprintf(last, sizeof last, "%.*s", (int)strcspn(name, "/"), name);
  int result = -1;
  if (is_own(mounts, parent)) {
    switch (operation->head.kind) {
      case STINT_MAKE_DIRECTORY: result = mkdirat(parent, last, operation->head.mode); break;
      case STINT_MAKE_FILE: result = mknodat(parent, last, S_IFREG | operation->head.mode, 0); break;
      default: result = symlinkat(operation->source, parent, last); break;
    }
  }
  close_keeping_errno(parent);
  return result;
}

static int overlay(struct mounts *mounts, const struct operation *operation) {
  char lower_path[32], upper_path[32], options[200];
  struct stat facts;
  int lower = *operation->source != 0 ? open(operation->source, O_PATH | O_DIRECTORY | O_CLOEXEC)
                                      : open_destination(mounts, operation->destination);
  if (lower < 0) return -1;
  // The changes live in a tmpfs that the overlay itself then covers.
  if (fstat(lower, &facts) != 0 || mount_on(mounts, "tmpfs", operation->destination, "mode=0700", 0) != 0)
    return close_keeping_errno(lower);
  int scratch = open_destination(mounts, operation->destination);
  if (scratch < 0) return close_keeping_errno(lower);
  int result = mkdirat(scratch, "work", 0700);
  if (result == 0) result = mkdirat(scratch, "upper", 0700);
  if (result == 0) result = fchmodat(scratch, "upper", facts.st_mode & 07777, 0);
  // Another owner than ourselves cannot be given without root; the mode still holds.
  if (result == 0) (void)!fchownat(scratch, "upper", facts.st_uid, facts.st_gid, 0);
  descriptor_path(lower_path, lower);
  descriptor_path(upper_path, scratch);
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower_path, upper_path,
           upper_path);
  if (result == 0) {
    result = mount_on(mounts, "overlay", operation->destination, options, 0);
    if (result != 0) {
      // In a user namespace its notes go to user attributes, which a plain overlay does not ask for.
      strncat(options, ",userxattr", sizeof options - strlen(options) - 1);
      result = mount_on(mounts, "overlay", operation->destination, options, 0);
    }
  }
  close_keeping_errno(scratch);
  close_keeping_errno(lower);
  return result;
}

struct mirror_entry {
  int tree;      // a detached clone; -1 for a link, which is made anew
  mode_t mode;
};

static int mirror_one(int source, int into, const char *name, int tree, mode_t mode) {
  if (S_ISLNK(mode)) {
    char target[4096];
    ssize_t length = readlinkat(source, name, target, sizeof target - 1);
    if (length < 0) return -1;
    target[length] = 0;
    return symlinkat(target, into, name);
  }
  int result = S_ISDIR(mode) ? mkdirat(into, name, 0755) : mknodat(into, name, S_IFREG | 0644, 0);
  if (result != 0) return -1;
  int target = openat(into, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) return -1;
  result = attach(tree, target);
  close_keeping_errno(target);
  return result;
}

// Clones every entry of `source` before anything is mounted: the new tmpfs may lie below one of them, and must not
// appear in its clone. Then makes the tmpfs and attaches them. `names` holds the names one after the other.
static int mirror(struct mounts *mounts, const struct operation *operation) {
  static struct mirror_entry entries[MIRROR_LIMIT];
  static char names[MIRROR_LIMIT * 64];
  static _Alignas(8) char buffer[16384];
  int count = 0, result = 0;
  size_t used = 0;
  struct stat facts;
  int source = open(operation->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (source < 0 || fstat(source, &facts) != 0) return -1;
  long size;
  while (result == 0 && (size = syscall(SYS_getdents64, source, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < size && result == 0;) {
      struct dirent64 *entry = (struct dirent64 *)(buffer + at);
      at += entry->d_reclen;
      size_t length = strlen(entry->d_name) + 1;
      struct stat kind;
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      if (count == MIRROR_LIMIT || used + length > sizeof names) {
        errno = E2BIG;
        result = -1;
        break;
      }
      // Gone since it was listed: then it is not there in the mirror either.
      if (fstatat(source, entry->d_name, &kind, AT_SYMLINK_NOFOLLOW) != 0) continue;
      entries[count].mode = kind.st_mode;
      entries[count].tree = -1;
      if (!S_ISLNK(kind.st_mode)) {
        entries[count].tree = open_tree(source, entry->d_name,
                                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
        if (entries[count].tree < 0) {
          result = -1;
          break;
        }
      }
      memcpy(names + used, entry->d_name, length);
      used += length;
      count++;
    }
  }
  char options[32];
  snprintf(options, sizeof options, "mode=%04o", facts.st_mode & 07777);
  if (result == 0) result = mount_on(mounts, "tmpfs", operation->destination, options, 0);
  int into = result == 0 ? open_destination(mounts, operation->destination) : -1;
  if (result == 0 && into < 0) result = -1;
  const char *name = names;
  for (int index = 0; index < count; index++, name += strlen(name) + 1) {
    if (result == 0) result = mirror_one(source, into, name, entries[index].tree, entries[index].mode);
    if (entries[index].tree >= 0) close_keeping_errno(entries[index].tree);
  }
  if (into >= 0) close_keeping_errno(into);
  close_keeping_errno(source);
  return result;
}

static int new_root(struct mounts *mounts, const char *path) {
  int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -1;
  close(mounts->root);
  mounts->root = root;
  return 0;
}

static int pivot(struct mounts *mounts) {
  // The old root ends up under the new one's, where the lazy unmount takes it away.
  if (fchdir(mounts->root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0) return -1;
  if (umount2(".", MNT_DETACH) != 0) return -1;
  return chdir("/");
}

static int run(struct mounts *mounts, const struct operation *operation) {
  switch (operation->head.kind) {
    case STINT_BIND: return bind_mount(mounts, operation);
    case STINT_TMPFS: return mount_on(mounts, "tmpfs", operation->destination, operation->detail, MS_NOSUID | MS_NODEV);
    case STINT_MAKE_DIRECTORY:
    case STINT_MAKE_FILE:
    case STINT_SYMLINK: return make(mounts, operation);
    case STINT_OVERLAY: return overlay(mounts, operation);
    case STINT_MIRROR: return mirror(mounts, operation);
    case STINT_NEW_ROOT: return new_root(mounts, operation->source);
    case STINT_PIVOT: return pivot(mounts);
    case STINT_PROC: return mount_on(mounts, "proc", operation->destination, NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC);
    default: errno = EINVAL; return -1;
  }
}

static const char *const names[] = {"?",       "bind",    "tmpfs",  "make directory", "make file", "link",
                                    "overlay", "mirror",  "new root", "pivot",        "proc"};

int stint_mounts_run(const struct container_start *start, char *detail, size_t room) {
  const char *end = start->end;
  struct mounts mounts = {.start = start, .root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (mounts.root < 0) return -1;
  const char *cursor = start->operations;
  for (uint32_t index = 0; index < start->plan->operation_count; index++) {
    struct operation operation;
    if ((size_t)(end - cursor) < sizeof operation.head) return errno = EINVAL, -1;
    memcpy(&operation.head, cursor, sizeof operation.head);
    cursor += sizeof operation.head;
    operation.source = stint_take_string(&cursor, end);
    operation.destination = operation.source != NULL ? stint_take_string(&cursor, end) : NULL;
    operation.detail = operation.destination != NULL ? stint_take_string(&cursor, end) : NULL;
    if (operation.detail == NULL || operation.head.kind > STINT_PROC) return errno = EINVAL, -1;
    if (run(&mounts, &operation) != 0) {
      int error = errno;
      const char *source = operation.source, *below = operation.head.kind == STINT_BIND ? operation.detail : "";
      snprintf(detail, room, "%s %.120s%s%.120s%s%.200s", names[operation.head.kind], source,
               *below != 0 ? " below it " : "", below, *source != 0 && *operation.destination != 0 ? " on " : "",
               operation.destination);
      errno = error;
      return -1;
    }
  }
  return close(mounts.root);
}
