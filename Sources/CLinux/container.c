// Owns: one container's start: its plan, its mount namespace, its user and its exec, and what of that a process that is
// started in it later (podexec.c) has too. Runs in the pod init and, up to the exec, in a child of it. Whatever may wait
// for a disk (mounts, the working directory, the exec) is done by the child while the init goes on, since the init holds
// the pod's deadline. No malloc.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pod.h"
#include "podcalls.h"

const char *stint_take_string(const char **cursor, const char *end) {
  const char *text = *cursor;
  const char *nul = text < end ? memchr(text, 0, (size_t)(end - text)) : NULL;
  if (nul == NULL) return NULL;
  *cursor = nul + 1;
  return text;
}

int stint_start_parse(struct container_start *start, const char *bytes, size_t length, char **pointers, size_t room) {
  const char *cursor = bytes + sizeof(struct stint_plan);
  start->end = bytes + length;
  if (length < sizeof(struct stint_plan)) return -1;
  start->plan = (const struct stint_plan *)bytes;
  start->users = -1;
  size_t arguments = start->plan->argument_count, environment = start->plan->environment_count;
  if (arguments == 0 || arguments > length || environment > length || arguments + environment + 2 > room) return -1;
  start->arguments = pointers;
  start->environment = pointers + arguments + 1;
  for (size_t index = 0; index < arguments; index++)
    if ((start->arguments[index] = (char *)stint_take_string(&cursor, start->end)) == NULL) return -1;
  start->arguments[arguments] = NULL;
  for (size_t index = 0; index < environment; index++)
    if ((start->environment[index] = (char *)stint_take_string(&cursor, start->end)) == NULL) return -1;
  start->environment[environment] = NULL;
  if ((start->directory = stint_take_string(&cursor, start->end)) == NULL) return -1;
  start->cgroups = cursor;
  for (size_t index = 0; index < start->plan->cgroup_count; index++)
    if (stint_take_string(&cursor, start->end) == NULL) return -1;
  start->groups = cursor;
  if ((size_t)(start->end - cursor) / sizeof(uint32_t) < start->plan->group_count) return -1;
  start->filter = cursor + start->plan->group_count * sizeof(uint32_t);
  if ((size_t)(start->end - start->filter) < start->plan->filter_length) return -1;
  start->operations = start->filter + start->plan->filter_length;
  return 0;
}

int stint_start_fail(int words, struct container_word *word, int stage, const char *detail) {
  word->error = errno;
  word->stage = stage;
  if (detail != NULL) snprintf(word->detail, sizeof word->detail, "%s", detail);
  (void)!write(words, word, sizeof *word);
  return 127;
}

int stint_plan_groups(const struct container_start *start, uint32_t groups[64]) {
  if (start->plan->group_count > 64) return errno = EINVAL, -1;
  memcpy(groups, start->groups, start->plan->group_count * sizeof(uint32_t));
  return 0;
}

// No exec gives a capability that is not in the bounding set, also to root.
static int bound_capabilities(const uint32_t set[2]) {
  for (int capability = 0; capability < 64; capability++) {
    if (set[capability / 32] >> (capability % 32) & 1) continue;
    // EINVAL: the kernel knows no more of them.
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return errno == EINVAL && capability > 0 ? 0 : -1;
  }
  return 0;
}

// Before the user changes: who may not gain privileges may filter, and so may root.
static int confine(const struct container_start *start) {
  const struct stint_plan *plan = start->plan;
  if (plan->flags & STINT_PLAN_NO_NEW_PRIVILEGES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  if (plan->flags & STINT_PLAN_CONFINED && bound_capabilities(plan->capabilities) != 0) return -1;
  if (plan->filter_length == 0) return 0;
  struct sock_fprog program = {(unsigned short)(plan->filter_length / sizeof(struct sock_filter)),
                               (struct sock_filter *)start->filter};
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static int take_user(const struct container_start *start) {
  const struct stint_plan *plan = start->plan;
  if (confine(start) != 0) return -1;
  // Raw calls: the library's would try to tell other threads, of which this memory may hold stale traces.
  if (plan->user >= 0 || plan->group >= 0 || plan->group_count > 0) {
    uint32_t groups[64];
    if (stint_plan_groups(start, groups) != 0) return -1;
    if (syscall(SYS_setgroups, plan->group_count, groups) != 0) return -1;
  }
  if (plan->group >= 0 && syscall(SYS_setresgid, plan->group, plan->group, plan->group) != 0) return -1;
  if (plan->user >= 0 && syscall(SYS_setresuid, plan->user, plan->user, plan->user) != 0) return -1;
  // Whoever runs on the host as somebody else stays so: a set-uid program would give the host's root back.
  if (!(plan->flags & STINT_PLAN_CONFINED) && (plan->user >= 0 || plan->group >= 0) &&
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return -1;
  // bubblewrap hands its capabilities on as ambient ones: the container gets none.
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return 0;
}

void stint_start_score(int32_t adjust) {
  if (adjust == INT32_MIN) return;
  char text[16];
  int length = snprintf(text, sizeof text, "%d", adjust);
  int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  // Lowering it may be forbidden; the container then keeps its parent's, which is no reason not to run.
  (void)!write(file, text, (size_t)length);
  close(file);
}

int stint_start_enter(const struct container_start *start, char *detail, size_t room) {
  const char *cursor = start->cgroups;
  for (uint32_t index = 0; index < start->plan->cgroup_count; index++) {
    const char *path = stint_take_string(&cursor, start->end);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    // 0 is the writer itself, in whatever namespace.
    int result = file >= 0 && write(file, "0", 1) == 1 ? 0 : -1;
    int error = errno;
    if (file >= 0) close(file);
    errno = error;
    if (result == 0) continue;
    snprintf(detail, room, "%s", path);
    return -1;
  }
  return 0;
}

// After an exec that found nothing: whether `file` itself is there, so that it is its interpreter that is missing.
// Its name, as a script's first line gives it, is left in `detail`; empty for a program's loader.
static int lacks_interpreter(struct container_word *word, const char *file) {
  if (word->stage == STINT_STAGE_INTERPRETER || access(file, F_OK) != 0) return 0;
  char line[256] = {0};
  int script = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ssize_t size = script >= 0 ? read(script, line, sizeof line - 1) : 0;
  if (script >= 0) close(script);
  word->stage = STINT_STAGE_INTERPRETER;
  word->detail[0] = 0;
  if (size < 3 || line[0] != '#' || line[1] != '!') return 1;
  const char *name = line + 2 + strspn(line + 2, " \t");
  snprintf(word->detail, sizeof word->detail, "%.*s", (int)strcspn(name, " \t\n"), name);
  return 1;
}

// execvp by the container's own PATH, which the library's would take from our environment.
static int execute(const struct container_start *start, struct container_word *word) {
  const char *name = start->arguments[0];
  if (strchr(name, '/') != NULL || *name == 0) {
    execve(name, start->arguments, start->environment);
    if (errno == ENOENT) {
      lacks_interpreter(word, name);
      errno = ENOENT;
    }
    return -1;
  }
  const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  for (char **entry = start->environment; *entry != NULL; entry++)
    if (strncmp(*entry, "PATH=", 5) == 0) path = *entry + 5;
  int denied = 0;
  while (path != NULL) {
    char file[PATH_MAX];
    const char *colon = strchr(path, ':');
    int length = colon != NULL ? (int)(colon - path) : (int)strlen(path);
    if (snprintf(file, sizeof file, "%.*s/%s", length, length > 0 ? path : ".", name) < (int)sizeof file) {
      execve(file, start->arguments, start->environment);
      if (errno == EACCES) denied = 1;
      if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return -1;
      if (errno == ENOENT) lacks_interpreter(word, file);
    }
    path = colon != NULL ? colon + 1 : NULL;
  }
  errno = denied ? EACCES : ENOENT;
  return -1;
}

// Whoever runs as somebody else may still open what it writes to by name, as /dev/stdout.
static void give_streams(const struct stint_plan *plan) {
  struct stat facts;
  for (int stream = 0; stream < STINT_STREAMS && plan->user >= 0; stream++)
    if (fstat(stream, &facts) == 0 && S_ISFIFO(facts.st_mode)) (void)!fchown(stream, (uid_t)plan->user, (gid_t)-1);
}

int stint_start_command(const struct container_start *start, int words, struct container_word *word) {
  give_streams(start->plan);
  if (take_user(start) != 0) return stint_start_fail(words, word, STINT_STAGE_USER, "user and groups");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execute(start, word);
  if (word->stage == STINT_STAGE_INTERPRETER && errno == ENOENT)
    return stint_start_fail(words, word, STINT_STAGE_INTERPRETER, NULL);
  return stint_start_fail(words, word, STINT_STAGE_EXEC, start->arguments[0]);
}

// Of a container with a terminal only the socket that it leaves by. Without an input of its own standard input is the
// init's: /dev/null. The passed descriptors are above 2, as the init keeps 0 to 4 in use.
static int place_streams(const struct container_start *start) {
  if (start->plan->flags & STINT_PLAN_TERMINAL) return dup2(start->streams[0], 0) < 0 ? -1 : 0;
  if (start->streams[2] >= 0 && dup2(start->streams[2], 0) < 0) return -1;
  return dup2(start->streams[0], 1) < 0 || dup2(start->streams[1], 2) < 0 ? -1 : 0;
}

// In the pod's user namespace from here on, and so are its mounts: what it is capable of counts for nothing else. All
// that needs the host's root is done. With its mounts they are others' than the init was told of.
static int take_users(const struct container_start *start, int words, struct container_word *word) {
  struct stat facts;
  if (stint_users_enter(start->users) != 0 || unshare(CLONE_NEWNS) != 0 || stat("/proc/self/ns/mnt", &facts) != 0)
    return -1;
  word->mount_namespace = facts.st_ino;
  return write(words, word, sizeof *word) == sizeof *word ? 0 : -1;
}

static int container_main(void *argument) {
  enum { WORDS = 3 };
  struct container_start *start = argument;
  struct container_word word;
  struct stat facts;
  memset(&word, 0, sizeof word);
  // The control socket's place: a child that hangs here holds nothing of the keeper's.
  if (dup3(start->words, WORDS, O_CLOEXEC) < 0) return 127;
  setsid();
  // The namespace's number goes first: until the init has it, it cannot tell this container's processes from others.
  if (stat("/proc/self/ns/mnt", &facts) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_MOUNT, "/proc/self/ns/mnt");
  word.mount_namespace = facts.st_ino;
  if (write(WORDS, &word, sizeof word) != sizeof word) return 127;
  // Before anything is made for the container: what it makes is counted as its own.
  if (stint_start_enter(start, word.detail, sizeof word.detail) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_CGROUP, NULL);
  // Nothing of ours reaches the host, but its umount reaches us: else a disk of the host stays mounted here until the
  // pod ends. Where the host's mounts are private already they stay so.
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_MOUNT, "take the mounts from the host's");
  if (stint_mounts_run(start, word.detail, sizeof word.detail) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_MOUNT, NULL);
  stint_start_score(start->plan->oom_score_adjust);
  stint_start_own(start);
  if (start->users >= 0 && take_users(start, WORDS, &word) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_USERS, "enter the pod's user namespace");
  if (chdir(*start->directory != 0 ? start->directory : "/") != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_DIRECTORY, start->directory);
  if (place_streams(start) != 0 || close_range(WORDS + 1, ~0U, 0) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_STREAMS, "standard streams");
  if (start->plan->flags & STINT_PLAN_TERMINAL && stint_take_terminal(start->plan) != 0)
    return stint_start_fail(WORDS, &word, STINT_STAGE_TERMINAL, "terminal");
  return stint_start_command(start, WORDS, &word);
}

// What the pod's containers share and the host does not: ours, from the first container that asks for it.
static int share_with_pod(const struct stint_plan *plan) {
  static int shared;
  int wanted = 0;
  if (plan->flags & STINT_PLAN_POD_UTS) wanted |= CLONE_NEWUTS;
  if (plan->flags & STINT_PLAN_POD_IPC) wanted |= CLONE_NEWIPC;
  wanted &= ~shared;
  if (plan->first_user != 0 && stint_users() < 0) {
    if (stint_users_make(plan->first_user, wanted) != 0) return -1;
    shared |= wanted;
    return 0;
  }
  if (wanted == 0) return 0;
  if (unshare(wanted) != 0) return -1;
  shared |= wanted;
  return 0;
}

// Of what the init has open a child among a container's processes keeps what its start needs: they can see it, and its
// descriptors with it.
static void keep_own(struct container_start *start) {
  enum { FIRST = 5, ABOVE = 64 };
  int *own[2 + STINT_STREAMS] = {&start->words};
  int count = 1;
  if (start->users >= 0) own[count++] = &start->users;
  for (int stream = 0; stream < STINT_STREAMS; stream++)
    if (start->streams[stream] >= 0) own[count++] = &start->streams[stream];
  for (int index = 0; index < count; index++)
    if ((*own[index] = fcntl(*own[index], F_DUPFD, ABOVE)) < 0) _exit(127);
  for (int index = 0; index < count; index++)
    if ((*own[index] = dup3(*own[index], FIRST + index, O_CLOEXEC)) < 0) _exit(127);
  close(STINT_POD_MARKER);
  if (close_range((unsigned)(FIRST + count), ~0U, 0) != 0) _exit(127);
}

// A container's child that others may look at before it has become its command, so it must not share our memory.
static long start_apart(struct container_start *start, int flags) {
  long pid = stint_call(SYS_clone, CLONE_NEWNS | flags | SIGCHLD, 0, 0, 0, 0);
  if (pid != 0) return pid;
  prctl(PR_SET_DUMPABLE, 0);
  keep_own(start);
  _exit(container_main(start));
}

// A container's child among the processes of another's.
static pid_t start_among(struct container_start *start, pid_t target, int *stage) {
  *stage = STINT_STAGE_JOIN;
  int other = (int)syscall(SYS_pidfd_open, target, 0);
  if (other < 0) return -1;
  long self = stint_processes_enter(other);
  stint_close(other);
  if (self < 0) return errno = (int)-self, -1;
  *stage = STINT_STAGE_CLONE;
  long pid = start_apart(start, 0);
  stint_processes_leave((int)self);
  return pid < 0 ? (errno = (int)-pid, -1) : (pid_t)pid;
}

static pid_t begin(struct container_start *start, pid_t target, int flags, int *stage) {
  // It shares our memory, as by vfork, but we do not wait for its exec.
  static _Alignas(16) char stack[256 * 1024];
  if (start->plan->first_user != 0) start->users = stint_users();
  if (target > 0) return start_among(start, target, stage);
  if (start->users < 0)
    return clone(container_main, stack + sizeof stack, CLONE_VM | CLONE_NEWNS | SIGCHLD | flags, start);
  // In its user namespace its rights over a process are those of whoever else has some there.
  long pid = start_apart(start, flags);
  return pid < 0 ? (errno = (int)-pid, -1) : (pid_t)pid;
}

pid_t stint_container_start(struct container_start *start, const char *bytes, size_t length, char **pointers,
                            size_t pointer_room, pid_t target, int *words, int *stage) {
  int ends[2];
  *stage = STINT_STAGE_PLAN;
  if (stint_start_parse(start, bytes, length, pointers, pointer_room) != 0) return errno = EINVAL, -1;
  *stage = STINT_STAGE_CLONE;
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
  start->words = ends[1];
  int flags = start->plan->flags & STINT_PLAN_OWN_PROCESSES ? CLONE_NEWPID : 0;
  pid_t pid = -1;
  if (share_with_pod(start->plan) == 0) pid = begin(start, target, flags, stage);
  // From here on errno is the child's.
  int error = pid < 0 ? errno : 0;
  stint_close(ends[1]);
  *words = ends[0];
  if (pid > 0) return pid;
  close(ends[0]);
  return errno = error, -1;
}
