// Owns: a pod's user namespace: how it is made, how a process becomes one of its users, and what shows its ids in place
// of a file's. The pod's init stays outside, so nothing in there can look at it or stop it. It must not know what runs
// in it. No malloc.
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pod.h"
#include "podcalls.h"

enum { ABOVE = 64 };

// The pod's, from its first container that asks for it.
static int users = -1;

int stint_users(void) { return users; }

static int write_map(int proc, pid_t pid, const char *name, uint32_t first) {
  char path[64], text[64];
  snprintf(path, sizeof path, "%d/%s", pid, name);
  int length = snprintf(text, sizeof text, "0 %u %u\n", first, STINT_USER_COUNT);
  int file = openat(proc, path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return -1;
  int result = write(file, text, (size_t)length) == length ? 0 : -1;
  int error = errno;
  close(file);
  return errno = error, result;
}

// Takes what `pid`, who has just been made, has of its own: its user namespace, and for ourselves the others.
static int take_over(pid_t pid, uint32_t first, int others) {
  char path[64];
  int proc = stint_pod_proc();
  if (proc < 0) return errno = ENOENT, -1;
  if (write_map(proc, pid, "uid_map", first) != 0 || write_map(proc, pid, "gid_map", first) != 0) return -1;
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  int result = pidfd >= 0 && (others == 0 || syscall(SYS_setns, pidfd, others) == 0) ? 0 : -1;
  int error = errno;
  if (pidfd >= 0) close(pidfd);
  if (result != 0) return errno = error, -1;
  snprintf(path, sizeof path, "%d/ns/user", pid);
  int made = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (made < 0) return -1;
  // Where no start puts anything.
  users = fcntl(made, F_DUPFD_CLOEXEC, ABOVE);
  error = errno;
  close(made);
  return users >= 0 ? 0 : (errno = error, -1);
}

int stint_users_make(uint32_t first, int others) {
  int status;
  // Whoever owns a namespace is who made it: a process that is no one yet makes them, and ends.
  long pid = stint_call(SYS_clone, CLONE_NEWUSER | others | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0)
    for (;;) stint_call(SYS_ppoll, 0, 0, 0, 0, 0);
  if (pid < 0) return errno = (int)-pid, -1;
  int result = take_over((pid_t)pid, first, others);
  int error = errno;
  stint_kill(pid, SIGKILL);
  while (stint_call(SYS_wait4, pid, (long)&status, 0, 0, 0) == -EINTR) {}
  return errno = error, result;
}

int stint_users_enter(int namespace) {
  if (syscall(SYS_setns, namespace, CLONE_NEWUSER) != 0) return -1;
  // We are still the host's root, whom nobody in here knows: its files would be ours until we are somebody else.
  if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, 0, 0, 0) != 0) return -1;
  if (syscall(SYS_setresuid, 0, 0, 0) != 0) return -1;
  // The keeper's keys are not for them. Where there are none to be had, nothing in there gets at any.
  return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM ? -1 : 0;
}

int stint_users_show(int namespace, int tree) {
  struct mount_attr attributes = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)namespace};
  // What is mounted below it keeps the host's ids, and is nobody's in there: not every file system can be shown so.
  return mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes);
}

void stint_start_own(const struct container_start *start) {
  const struct stint_plan *plan = start->plan;
  struct stat facts;
  if (plan->user <= 0 && plan->first_user == 0) return;
  uid_t user = plan->first_user + (uid_t)(plan->user > 0 ? plan->user : 0);
  for (int stream = 0; stream < STINT_STREAMS; stream++)
    if (start->streams[stream] >= 0 && fstat(start->streams[stream], &facts) == 0 && S_ISFIFO(facts.st_mode))
      (void)!fchown(start->streams[stream], user, (gid_t)-1);
}
