// Owns: the mounts that make an image's layers a container's root: the overlay over them, the kernel's file systems in
// it as container runtimes give them, and what of those is hidden or read-only. Destinations are resolved as in mounts.c.
// It must not know images, pulls or manifests. No malloc.
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mounts.h"

enum { LAYER_LIMIT = 200, OPTION_ROOM = 4096 };

// Opens each of `names` (a colon between two) below `base` and writes overlay's option for them. The descriptors stay
// open until the mount: their paths are short, however deep the node's directory lies.
static int lower_option(char *option, size_t room, const char *base, const char *names, int layers[LAYER_LIMIT],
                        int *count) {
  int directory = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return -1;
  size_t used = (size_t)snprintf(option, room, "lowerdir");
  while (*names != 0) {
    char name[256];
    size_t length = strcspn(names, ":");
    if (length == 0 || length >= sizeof name || *count == LAYER_LIMIT || used + 32 > room) {
      errno = E2BIG;
      return stint_close_keeping_errno(directory);
    }
    memcpy(name, names, length);
    name[length] = 0;
    names += length + (names[length] == ':');
    int layer = openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (layer < 0) return stint_close_keeping_errno(directory);
    layers[*count] = layer;
    used += (size_t)snprintf(option + used, room - used, "%c/proc/self/fd/%d", *count == 0 ? '=' : ':', layer);
    *count += 1;
  }
  close(directory);
  return *count > 0 ? 0 : (errno = EINVAL, -1);
}

// Has the layers shown with the ids of the pod's users, by mounts one over the other on `place`/lower: not every kernel
// takes a layer that is mounted nowhere. The descriptors keep their numbers.
static int shift_layers(int users, int place, const int *layers, int count) {
  if (mkdirat(place, "lower", 0700) != 0) return -1;
  for (int index = 0; index < count; index++) {
    int tree = open_tree(layers[index], "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    int target = tree >= 0 ? openat(place, "lower", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    int result = target >= 0 ? stint_users_show(users, tree) : -1;
    if (result == 0) result = stint_attach(tree, target);
    if (result == 0 && dup3(tree, layers[index], O_CLOEXEC) < 0) result = -1;
    if (target >= 0) stint_close_keeping_errno(target);
    if (tree >= 0) stint_close_keeping_errno(tree);
    if (result != 0) return -1;
  }
  return 0;
}

// The container's changes go to `place`/upper. What it syncs need not outlive the machine: its root goes with it, so the
// kernel is not to wait for the disk (volatile). In a user namespace overlay's notes are user attributes.
static int mount_overlay(const char *lower, int place) {
  static const char *const variants[] = {",volatile", "", ",volatile,userxattr", ",userxattr"};
  char target[64], options[OPTION_ROOM];
  snprintf(target, sizeof target, "/proc/self/fd/%d/root", place);
  for (size_t index = 0; index < sizeof variants / sizeof *variants; index++) {
    int length = snprintf(options, sizeof options,
                          "%s,upperdir=/proc/self/fd/%d/upper,workdir=/proc/self/fd/%d/work%s", lower, place, place,
                          variants[index]);
    if (length >= (int)sizeof options) return errno = E2BIG, -1;
    if (mount("overlay", target, "overlay", MS_NODEV, options) == 0) return 0;
  }
  return -1;
}

static int make_places(int place, int lowest) {
  struct stat facts;
  if (fstat(lowest, &facts) != 0) return -1;
  if (mkdirat(place, "upper", 0755) != 0 || mkdirat(place, "work", 0700) != 0 || mkdirat(place, "root", 0755) != 0)
    return -1;
  if (fchmodat(place, "upper", facts.st_mode & 07777, 0) != 0) return -1;
  // Another owner than ourselves cannot be given without root.
  (void)!fchownat(place, "upper", facts.st_uid, facts.st_gid, 0);
  return 0;
}

static int image(struct mounts *mounts, const struct operation *operation) {
  char option[OPTION_ROOM - 256];
  int layers[LAYER_LIMIT], count = 0, result;
  result = lower_option(option, sizeof option, operation->source, operation->detail, layers, &count);
  if (result == 0 && operation->head.flags & STINT_IMAGE_IN_MEMORY)
    result = mount("tmpfs", operation->destination, "tmpfs", MS_NODEV, "mode=0700");
  int place = result == 0 ? open(operation->destination, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  if (place < 0) result = -1;
  if (result == 0 && mounts->start->users >= 0) result = shift_layers(mounts->start->users, place, layers, count);
  if (result == 0) result = make_places(place, layers[0]);
  if (result == 0) result = mount_overlay(option, place);
  // A file system that cannot take an overlay's changes, such as another overlay (a node in a container): in memory then.
  if (result != 0 && place >= 0 && errno == EINVAL && !(operation->head.flags & STINT_IMAGE_IN_MEMORY)) {
    close(place);
    result = mount("tmpfs", operation->destination, "tmpfs", MS_NODEV, "mode=0700");
    place = result == 0 ? open(operation->destination, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (place < 0) result = -1;
    if (result == 0) result = make_places(place, layers[0]);
    if (result == 0) result = mount_overlay(option, place);
  }
  int root = result == 0 ? openat(place, "root", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  for (int index = 0; index < count; index++) stint_close_keeping_errno(layers[index]);
  if (place >= 0) stint_close_keeping_errno(place);
  struct stat facts;
  if (root < 0) return -1;
  if (fstat(root, &facts) != 0 || stint_own(mounts, facts.st_dev) != 0) return stint_close_keeping_errno(root);
  stint_new_root(mounts, root);
  return 0;
}

// A detached clone of what another mount namespace has at the operation's detail. The caller's own is the present one
// again, or the caller ends.
static int clone_elsewhere(const struct operation *operation) {
  int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  int other = own >= 0 ? open(operation->source, O_RDONLY | O_CLOEXEC) : -1;
  int tree = -1;
  if (other >= 0 && setns(other, CLONE_NEWNS) == 0) {
    tree = open_tree(AT_FDCWD, operation->detail, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    int error = errno;
    if (setns(own, CLONE_NEWNS) != 0) _exit(127);
    errno = error;
  }
  if (other >= 0) stint_close_keeping_errno(other);
  if (own >= 0) stint_close_keeping_errno(own);
  return tree;
}

static int root(struct mounts *mounts, const struct operation *operation) {
  struct stat facts;
  int tree = clone_elsewhere(operation);
  int at = tree >= 0 ? open(operation->destination, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  int result = at >= 0 ? stint_attach(tree, at) : -1;
  if (at >= 0) stint_close_keeping_errno(at);
  if (result == 0 && (fstat(tree, &facts) != 0 || stint_own(mounts, facts.st_dev) != 0)) result = -1;
  if (result != 0) return tree >= 0 ? stint_close_keeping_errno(tree) : -1;
  stint_new_root(mounts, tree);
  return 0;
}

// A detached clone of what is mounted at `at`, with `attributes`; or -1 and errno.
static int clone_with(int at, uint64_t attributes) {
  int tree = open_tree(at, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  struct mount_attr wanted = {.attr_set = attributes, .propagation = MS_PRIVATE};
  if (tree >= 0 && mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &wanted, sizeof wanted) != 0)
    return stint_close_keeping_errno(tree);
  return tree;
}

static int attach_and_close(int tree, int target) {
  int result = tree >= 0 ? stint_attach(tree, target) : -1;
  if (tree >= 0) stint_close_keeping_errno(tree);
  stint_close_keeping_errno(target);
  return result;
}

// A mount of the kernel's own needs the network namespace's owner; without, the host's is shown.
static int sysfs(struct mounts *mounts, const struct operation *operation) {
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (operation->head.mode != 0200) flags |= MS_RDONLY;
  if (stint_mount_kernel(mounts, "sysfs", operation->destination, NULL, flags) == 0) return 0;
  if (errno != EPERM) return -1;
  int target = stint_open_destination(mounts, operation->destination);
  int host = target >= 0 ? open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  if (target < 0) return -1;
  int tree = host >= 0 ? clone_with(host, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV) : -1;
  if (host >= 0) stint_close_keeping_errno(host);
  return attach_and_close(tree, target);
}

// A file reads as empty, a directory has nothing in it: what the first directory was masked with masks the others too.
static int mask(struct mounts *mounts, const struct operation *operation) {
  struct stat facts;
  int target = stint_open_destination(mounts, operation->destination);
  if (target < 0) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
  if (fstat(target, &facts) != 0) return stint_close_keeping_errno(target);
  if (!S_ISDIR(facts.st_mode)) {
    if (mounts->null < 0) mounts->null = open("/dev/null", O_PATH | O_CLOEXEC);
    return attach_and_close(mounts->null >= 0 ? clone_with(mounts->null, MOUNT_ATTR_RDONLY) : -1, target);
  }
  if (mounts->empty >= 0)
    return attach_and_close(
        open_tree(mounts->empty, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH), target);
  close(target);
  if (stint_mount_kernel(mounts, "tmpfs", operation->destination, "size=0k,nr_inodes=1",
                         MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC) != 0)
    return -1;
  mounts->empty = stint_open_destination(mounts, operation->destination);
  return 0;
}

static int seal(struct mounts *mounts, const struct operation *operation) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
  if (strcmp(operation->destination, "/") == 0)
    return mount_setattr(mounts->root, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
  int target = stint_open_destination(mounts, operation->destination);
  if (target < 0) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
  return attach_and_close(clone_with(target, MOUNT_ATTR_RDONLY), target);
}

// Terminals belong to group tty, which has this number everywhere; a user namespace may have no such group.
static int terminals(struct mounts *mounts, const struct operation *operation) {
  char options[64];
  snprintf(options, sizeof options, "newinstance,ptmxmode=0666,mode=0620,gid=%u", mounts->start->plan->first_user + 5);
  unsigned long flags = MS_NOSUID | MS_NOEXEC;
  if (stint_mount_kernel(mounts, "devpts", operation->destination, options, flags) == 0) return 0;
  return stint_mount_kernel(mounts, "devpts", operation->destination, "newinstance,ptmxmode=0666,mode=0620", flags);
}

int stint_root_run(struct mounts *mounts, const struct operation *operation) {
  switch (operation->head.kind) {
    case STINT_IMAGE: return image(mounts, operation);
    case STINT_ROOT: return root(mounts, operation);
    case STINT_SYSFS: return sysfs(mounts, operation);
    case STINT_TERMINALS: return terminals(mounts, operation);
    case STINT_QUEUES:
      return stint_mount_kernel(mounts, "mqueue", operation->destination, NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC);
    case STINT_MASK: return mask(mounts, operation);
    case STINT_SEAL: return seal(mounts, operation);
    case STINT_HOST_NAME: return sethostname(operation->source, strlen(operation->source));
    default: errno = EINVAL; return -1;
  }
}
