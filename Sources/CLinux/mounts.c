// Owns: a container's mounts, as data, executed in its own mount namespace. Every path inside a volume or the new root
// is resolved by the kernel with its escapes forbidden (openat2), and used by descriptor: no name is looked up twice.
// It must not know what the mounts are for. No malloc.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mounts.h"

enum { MIRROR_LIMIT = 512 };

static int open_inside(int directory, const char *path, uint64_t flags, uint64_t resolve) {
  struct open_how how;
  memset(&how, 0, sizeof how);
  how.flags = flags | O_CLOEXEC;
  how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
  while (*path == '/') path++;
  int result = -1;
  // Wherever on the machine something is mounted or renamed meanwhile, a way with ".." in it has to be gone again.
  for (int turn = 0; turn < 1000; turn++) {
    result = (int)syscall(SYS_openat2, directory, *path != 0 ? path : ".", &how, sizeof how);
    if (result >= 0 || errno != EAGAIN) break;
  }
  return result;
}

// The name of what lies directly in the most recent file system; NULL: it lies elsewhere.
static const char *name_in_recent(const struct mounts *mounts, const char *path) {
  if (mounts->recent < 0) return NULL;
  size_t length = strlen(mounts->recent_path);
  if (strncmp(path, mounts->recent_path, length) != 0 || path[length] != '/') return NULL;
  const char *name = path + length + 1;
  return *name == 0 || *name == '.' || strchr(name, '/') != NULL ? NULL : name;
}

int stint_open_destination(const struct mounts *mounts, const char *path) {
  const char *name = name_in_recent(mounts, path);
  int found = name != NULL ? open_inside(mounts->recent, name, O_PATH, RESOLVE_NO_SYMLINKS) : -1;
  // A link leads on from the root.
  if (found >= 0 || (name != NULL && errno != ELOOP)) return found;
  return open_inside(mounts->root, path, O_PATH, RESOLVE_IN_ROOT);
}

// What is mounted on `path` hides what was there: also the most recent file system, where that lies at it or below.
static void forget_recent(struct mounts *mounts, const char *path) {
  if (mounts->recent < 0) return;
  size_t length = strlen(path);
  while (length > 0 && path[length - 1] == '/') length--;
  const char *recent = mounts->recent_path;
  if (strncmp(recent, path, length) != 0 || (recent[length] != 0 && recent[length] != '/')) return;
  stint_close_keeping_errno(mounts->recent);
  mounts->recent = -1;
}

static void descriptor_path(char path[32], int descriptor) { snprintf(path, 32, "/proc/self/fd/%d", descriptor); }

int stint_own(struct mounts *mounts, dev_t device) {
  if (mounts->own_count == STINT_OWN_LIMIT) return errno = E2BIG, -1;
  mounts->own[mounts->own_count++] = device;
  return 0;
}

void stint_new_root(struct mounts *mounts, int root) {
  close(mounts->root);
  mounts->root = root;
  forget_recent(mounts, "/");
}

int stint_mount_kernel(struct mounts *mounts, const char *type, const char *path, const char *options,
                       unsigned long flags) {
  char target[32];
  int at = stint_open_destination(mounts, path);
  if (at < 0) return -1;
  descriptor_path(target, at);
  int result = mount(type, target, type, flags, options);
  stint_close_keeping_errno(at);
  if (result == 0) forget_recent(mounts, path);
  return result;
}

int stint_mount_on(struct mounts *mounts, const char *type, const char *path, const char *options,
                   unsigned long flags) {
  if (stint_mount_kernel(mounts, type, path, options, flags) != 0) return -1;
  struct stat facts;
  int at = stint_open_destination(mounts, path);
  if (at < 0) return -1;
  if (fstat(at, &facts) != 0 || stint_own(mounts, facts.st_dev) != 0) return stint_close_keeping_errno(at);
  // A way with ".." or a slash at its end would be no beginning of others.
  if (strstr(path, "..") != NULL || path[strlen(path) - 1] == '/') return close(at);
  // What lies directly in the one before is mostly a leaf, such as /dev/pts: that one stays in use.
  if (name_in_recent(mounts, path) != NULL) return close(at);
  if (mounts->recent >= 0) close(mounts->recent);
  mounts->recent = at;
  mounts->recent_path = path;
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

int stint_attach(int tree, int target) {
  return move_mount(tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int open_source(const struct operation *operation, uint64_t resolve) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve};
  int source = (int)syscall(SYS_openat2, AT_FDCWD, operation->source, &how, sizeof how);
  if (source < 0 || *operation->detail == 0) return source;
  // A link inside the volume may point elsewhere inside it, never out of it, however the pod races to change it.
  int below = open_inside(source, operation->detail, O_PATH, RESOLVE_BENEATH);
  stint_close_keeping_errno(source);
  return below;
}

// As the container's user, whom a closed directory on the way keeps out as it would without any mount; the links in /proc
// (cwd, root, fd) would lead past it, since we may trace others.
static int open_source_as_user(const struct container_start *start, const struct operation *operation) {
  const struct stint_plan *plan = start->plan;
  struct stint_actor former;
  uint32_t groups[64];
  if (plan->group < 0) return errno = EINVAL, -1;
  if (stint_plan_groups(start, groups) != 0) return -1;
  if (stint_act_as((uint32_t)plan->user, (uint32_t)plan->group, groups, (int)plan->group_count, &former) != 0) return -1;
  int source = open_source(operation, RESOLVE_NO_MAGICLINKS), error = errno;
  if (stint_act_as_before(&former) != 0) return source < 0 ? -1 : stint_close_keeping_errno(source);
  errno = error;
  return source;
}

static int clone_source(const struct container_start *start, const struct operation *operation) {
  enum { FLAGS = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE };
  int as_user = (operation->head.flags & STINT_BIND_AS_USER) != 0 && start->plan->user >= 0, tree;
  if (!as_user && *operation->detail == 0) {
    tree = open_tree(AT_FDCWD, operation->source, FLAGS);
  } else {
    int source = as_user ? open_source_as_user(start, operation) : open_source(operation, 0);
    if (source < 0) return -1;
    tree = open_tree(source, "", FLAGS | AT_EMPTY_PATH);
    stint_close_keeping_errno(source);
  }
  if (tree < 0) return -1;
  uint64_t limits = 0;
  if (operation->head.flags & STINT_BIND_READ_ONLY) limits |= MOUNT_ATTR_RDONLY;
  if (operation->head.flags & STINT_BIND_NO_DEVICES) limits |= MOUNT_ATTR_NODEV;
  if (limits != 0) {
    // Private: what the host mounts below it later would come in without them.
    struct mount_attr attributes = {.attr_set = limits, .propagation = MS_PRIVATE};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
      return stint_close_keeping_errno(tree);
  }
  if (operation->head.flags & STINT_BIND_SHIFTED && start->users >= 0 && stint_users_show(start->users, tree) != 0)
    return stint_close_keeping_errno(tree);
  return tree;
}

static int bind_mount(struct mounts *mounts, const struct operation *operation) {
  int target = stint_open_destination(mounts, operation->destination);
  if (target < 0) return -1;
  int result = stint_attach(operation->tree, target);
  stint_close_keeping_errno(target);
  // A link may lead it over the recent one, unless it lies in that.
  if (result == 0 && name_in_recent(mounts, operation->destination) == NULL) forget_recent(mounts, "/");
  return result;
}

// What is made in the root of a pod with users of its own is its root's.
static int give(const struct mounts *mounts, int parent, const char *name) {
  if (mounts->start->users < 0) return 0;
  uid_t first = mounts->start->plan->first_user;
  return fchownat(parent, name, first, first, AT_SYMLINK_NOFOLLOW);
}

// Makes one thing that is missing.
static int make_one(const struct operation *operation, int parent, const char *name) {
  switch (operation->head.kind) {
    case STINT_MAKE_DIRECTORY: return mkdirat(parent, name, operation->head.mode);
    case STINT_MAKE_FILE: return mknodat(parent, name, S_IFREG | operation->head.mode, 0);
    default: return symlinkat(operation->source, parent, name);
  }
}

// Puts what the link `name` in `parent` says into `path`, in the place of its part from `start` to `end`. 1, 0 where it
// is no link, or -1 and errno.
static int follow(int parent, const char *name, char path[4096], size_t start, size_t end) {
  char target[4096], rest[4096];
  ssize_t length = readlinkat(parent, name, target, sizeof target - 1);
  if (length < 0) return errno == EINVAL || errno == ENOENT ? 0 : -1;
  target[length] = 0;
  memcpy(rest, path + end, strlen(path + end) + 1);
  size_t kept = target[0] == '/' ? 0 : start;
  if (kept + (size_t)length + strlen(rest) >= 4096) return errno = ENAMETOOLONG, -1;
  memcpy(path + kept, target, (size_t)length);
  memcpy(path + kept + length, rest, strlen(rest) + 1);
  return 1;
}

// Makes the first part of `path` that is missing, or replaces it by what it leads to where it is a link to nothing, as
// runtimes do. 1 when there may be more to do, 0 when all is there, or -1 and errno.
static int make_part(const struct mounts *mounts, const struct operation *operation, char path[4096]) {
  for (size_t start = 0; path[start] != 0;) {
    while (path[start] == '/') start++;
    size_t end = start + strcspn(path + start, "/");
    if (end == start) return 0;
    int is_last = path[end + strspn(path + end, "/")] == 0;
    char after = path[end], name[256];
    path[end] = 0;
    int found = open_inside(mounts->root, path, O_PATH, RESOLVE_IN_ROOT);
    path[end] = after;
    if (found >= 0) close(found);
    if (found < 0 && errno != ENOENT) return -1;
    if (found >= 0) {
      start = end;
      continue;
    }
    if (end - start >= sizeof name) return errno = ENAMETOOLONG, -1;
    memcpy(name, path + start, end - start);
    name[end - start] = 0;
    char first = path[start];
    path[start] = 0;
    int parent = open_inside(mounts->root, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
    path[start] = first;
    if (parent < 0) return -1;
    int result = follow(parent, name, path, start, end);
    if (result == 0) {
      result = !is_own(mounts, parent) ? -1 : is_last ? make_one(operation, parent, name) : mkdirat(parent, name, 0755);
      if (result == 0) result = give(mounts, parent, name);
      if (result == 0) result = !is_last;
    }
    stint_close_keeping_errno(parent);
    return result;
  }
  return 0;
}

static int make(const struct mounts *mounts, const struct operation *operation) {
  char path[4096];
  const char *own = name_in_recent(mounts, operation->destination);
  if (own != NULL && make_one(operation, mounts->recent, own) == 0) return give(mounts, mounts->recent, own);
  if (own != NULL && errno != EEXIST) return -1;
  size_t length = strlen(operation->destination);
  if (length >= sizeof path) return errno = ENAMETOOLONG, -1;
  memcpy(path, operation->destination, length + 1);
  // Each turn makes a part or follows a link.
  for (int turns = 0; turns < 256; turns++) {
    int result = make_part(mounts, operation, path);
    if (result <= 0) return result;
  }
  return errno = ELOOP, -1;
}

static int overlay(struct mounts *mounts, const struct operation *operation) {
  char lower_path[32], upper_path[32], options[200];
  struct stat facts;
  int lower = *operation->source != 0 ? open(operation->source, O_PATH | O_DIRECTORY | O_CLOEXEC)
                                      : stint_open_destination(mounts, operation->destination);
  if (lower < 0) return -1;
  // The changes live in a tmpfs that the overlay itself then covers.
  if (fstat(lower, &facts) != 0 || stint_mount_on(mounts, "tmpfs", operation->destination, "mode=0700", 0) != 0)
    return stint_close_keeping_errno(lower);
  int scratch = stint_open_destination(mounts, operation->destination);
  if (scratch < 0) return stint_close_keeping_errno(lower);
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
    result = stint_mount_on(mounts, "overlay", operation->destination, options, 0);
    if (result != 0) {
      // In a user namespace its notes go to user attributes, which a plain overlay does not ask for.
      strncat(options, ",userxattr", sizeof options - strlen(options) - 1);
      result = stint_mount_on(mounts, "overlay", operation->destination, options, 0);
    }
  }
  stint_close_keeping_errno(scratch);
  stint_close_keeping_errno(lower);
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
  result = stint_attach(tree, target);
  stint_close_keeping_errno(target);
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
  if (result == 0) result = stint_mount_on(mounts, "tmpfs", operation->destination, options, 0);
  int into = result == 0 ? stint_open_destination(mounts, operation->destination) : -1;
  if (result == 0 && into < 0) result = -1;
  const char *name = names;
  for (int index = 0; index < count; index++, name += strlen(name) + 1) {
    if (result == 0) result = mirror_one(source, into, name, entries[index].tree, entries[index].mode);
    if (entries[index].tree >= 0) stint_close_keeping_errno(entries[index].tree);
  }
  if (into >= 0) stint_close_keeping_errno(into);
  stint_close_keeping_errno(source);
  return result;
}

static int new_root(struct mounts *mounts, const char *path) {
  int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -1;
  stint_new_root(mounts, root);
  return 0;
}

static int pivot(struct mounts *mounts) {
  // The old root ends up under the new one's, where the lazy unmount takes it away.
  if (fchdir(mounts->root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0) return -1;
  if (umount2(".", MNT_DETACH) != 0) return -1;
  return chdir("/");
}

static int memory(struct mounts *mounts, const struct operation *operation) {
  const char *options = operation->detail;
  char owned[256];
  uint32_t first = mounts->start->plan->first_user;
  if (first != 0) {
    int length = snprintf(owned, sizeof owned, "%s%suid=%u,gid=%u", options, *options != 0 ? "," : "", first, first);
    if (length >= (int)sizeof owned) return errno = E2BIG, -1;
    options = owned;
  }
  return stint_mount_on(mounts, "tmpfs", operation->destination, options, MS_NOSUID | MS_NODEV);
}

static int run(struct mounts *mounts, const struct operation *operation) {
  switch (operation->head.kind) {
    case STINT_BIND: return bind_mount(mounts, operation);
    case STINT_TMPFS: return memory(mounts, operation);
    case STINT_MAKE_DIRECTORY:
    case STINT_MAKE_FILE:
    case STINT_SYMLINK: return make(mounts, operation);
    case STINT_OVERLAY: return overlay(mounts, operation);
    case STINT_MIRROR: return mirror(mounts, operation);
    case STINT_NEW_ROOT: return new_root(mounts, operation->source);
    case STINT_PIVOT: return pivot(mounts);
    case STINT_PROC: return stint_mount_kernel(mounts, "proc", operation->destination, NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC);
    default: return stint_root_run(mounts, operation);
  }
}

static const char *const names[] = {"?",         "bind",   "tmpfs", "make directory", "make file",      "link",
                                    "overlay",   "mirror", "new root", "pivot",       "proc",           "image",
                                    "sysfs",     "devpts", "mqueue", "mask",          "make read-only", "host name",
                                    "root"};

static int take_operation(const char **cursor, const char *end, struct operation *operation) {
  if ((size_t)(end - *cursor) < sizeof operation->head) return errno = EINVAL, -1;
  memcpy(&operation->head, *cursor, sizeof operation->head);
  *cursor += sizeof operation->head;
  operation->source = stint_take_string(cursor, end);
  operation->destination = operation->source != NULL ? stint_take_string(cursor, end) : NULL;
  operation->detail = operation->destination != NULL ? stint_take_string(cursor, end) : NULL;
  operation->tree = -1;
  return operation->detail == NULL || operation->head.kind > STINT_ROOT ? (errno = EINVAL, -1) : 0;
}

static int failed(const struct operation *operation, char *detail, size_t room) {
  int error = errno;
  const char *source = operation->source, *below = operation->head.kind == STINT_BIND ? operation->detail : "";
  snprintf(detail, room, "%s %.120s%s%.120s%s%.200s", names[operation->head.kind], source,
           *below != 0 ? " below it " : "", below, *source != 0 && *operation->destination != 0 ? " on " : "",
           operation->destination);
  errno = error;
  return -1;
}

int stint_mounts_run(const struct container_start *start, char *detail, size_t room) {
  const char *end = start->end, *cursor = start->operations;
  uint32_t count = start->plan->operation_count;
  struct mounts mounts = {
      .start = start, .root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .recent = -1, .null = -1, .empty = -1};
  if (mounts.root < 0) return -1;
  size_t length = (count + (size_t)1) * sizeof(int);
  int *trees = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (trees == MAP_FAILED) return -1;
  struct operation operation;
  // All sources are cloned before anything is mounted: no overlay or mount above one may stand for it.
  for (uint32_t index = 0; index < count; index++) {
    if (take_operation(&cursor, end, &operation) != 0) return -1;
    trees[index] = operation.head.kind == STINT_BIND ? clone_source(start, &operation) : -1;
    if (operation.head.kind == STINT_BIND && trees[index] < 0) return failed(&operation, detail, room);
  }
  cursor = start->operations;
  for (uint32_t index = 0; index < count; index++) {
    if (take_operation(&cursor, end, &operation) != 0) return -1;
    operation.tree = trees[index];
    if (run(&mounts, &operation) != 0) return failed(&operation, detail, room);
    if (operation.tree >= 0) close(operation.tree);
  }
  munmap(trees, length);
  int rest[] = {mounts.recent, mounts.null, mounts.empty};
  for (size_t index = 0; index < sizeof rest / sizeof *rest; index++)
    if (rest[index] >= 0) close(rest[index]);
  return close(mounts.root);
}

int stint_mounts_apart(void) {
  if (unshare(CLONE_FS | CLONE_NEWNS) != 0) return -1;
  umask(022);
  return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
}

int stint_mounts_here(const uint8_t *plan, size_t length, char *detail, size_t room) {
  struct container_start start;
  size_t size = (length + 2) * sizeof(char *);
  char **pointers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pointers == MAP_FAILED) return -1;
  memset(&start, 0, sizeof start);
  int result = -1;
  if (stint_start_parse(&start, (const char *)plan, length, pointers, length + 2) != 0)
    errno = EINVAL;
  else
    result = stint_mounts_run(&start, detail, room);
  int error = errno;
  munmap(pointers, size);
  errno = error;
  return result;
}
