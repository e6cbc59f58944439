// Owns: the pod's PID 1: takes orders from the keeper, reaps everything, kills what a container leaves behind,
// reports. It never runs the pod's command itself, never waits for anything but its control socket and SIGCHLD, and
// ends (taking the whole namespace along) the moment the keeper's end of the socket closes. No malloc: it may be a
// clone of a process whose other threads held locks.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pod.h"

enum slot_state { FREE, LOADING, RUNNING, DRAINING };

struct slot {
  enum slot_state state;
  pid_t pid;
  int status;
  int kill_all;            // an order to kill that has not emptied the container yet
  ino_t mount_namespace;   // 0 once another container bears the number: the namespace, and all in it, is gone
  char *plan;              // while LOADING: a mapping of plan_room bytes
  size_t plan_length, plan_filled, plan_room;
  int streams[2];
};

static struct slot slots[STINT_SLOTS];
static char packet[STINT_PART_LIMIT];
static int proc_directory = -1;

static void report(uint32_t type, uint32_t slot, int32_t value, int32_t extra, const char *detail) {
  struct stint_message message = {type, slot, value, extra};
  size_t length = detail != NULL ? strlen(detail) : 0;
  // A keeper that lets hundreds of reports lie is stuck: wait for room, as nothing may be lost.
  while (stint_message_send(STINT_POD_CONTROL, &message, detail, length, NULL, 0) < 0) {
    if (errno != EAGAIN && errno != EINTR) _exit(0);
    struct pollfd room = {STINT_POD_CONTROL, POLLOUT, 0};
    poll(&room, 1, -1);
    if (room.revents & (POLLHUP | POLLERR)) _exit(0);
  }
}

// The pod's own /proc, opened when first needed: a pod with one container never needs it.
static int pod_proc(void) {
  if (proc_directory >= 0) return proc_directory;
  int context = fsopen("proc", FSOPEN_CLOEXEC);
  if (context >= 0) {
    if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
      proc_directory = fsmount(context, FSMOUNT_CLOEXEC, 0);
    close(context);
  }
  // Under bubblewrap /proc is the pod's own already.
  if (proc_directory < 0) proc_directory = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return proc_directory;
}

// Whether the process runs: neither stopped nor dead. One that waits in the kernel (D) stops on its way out.
static int is_running(int proc, const char *pid) {
  char path[48] = {0}, text[512];
  strncat(path, pid, 20);
  strcat(path, "/stat");
  int file = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return 0;
  text[size] = 0;
  // The command's name is in parentheses and may hold any byte: the state follows the last one.
  const char *after = strrchr(text, ')');
  if (after == NULL || after[1] == 0) return 0;
  return strchr("TtZXxD", after[2]) == NULL;
}

static int is_of_namespace(int proc, const char *pid, ino_t mount_namespace) {
  char path[48] = {0};
  struct stat facts;
  strncat(path, pid, 20);
  strcat(path, "/ns/mnt");
  // A dead process has no namespace any more: fstatat fails.
  return fstatat(proc, path, &facts, 0) == 0 && facts.st_ino == mount_namespace;
}

// Walks the pod's processes. With a namespace: kills those in it, how many there were. With 0: counts the running ones.
static int walk(ino_t mount_namespace) {
  int proc = pod_proc();
  int list = proc < 0 ? -1 : openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (list < 0) return -1;
  static _Alignas(8) char entries[16384];
  int found = 0;
  long size;
  while ((size = syscall(SYS_getdents64, list, entries, sizeof entries)) > 0) {
    for (long at = 0; at < size;) {
      struct dirent64 *entry = (struct dirent64 *)(entries + at);
      at += entry->d_reclen;
      int pid = atoi(entry->d_name);
      if (pid <= 1) continue;
      if (mount_namespace == 0) {
        found += is_running(proc, entry->d_name);
      } else if (is_of_namespace(proc, entry->d_name, mount_namespace)) {
        kill(pid, SIGKILL);
        found++;
      }
    }
  }
  close(list);
  return found;
}

static void reap(void) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    for (uint32_t index = 0; index < STINT_SLOTS; index++) {
      if (slots[index].state != RUNNING || slots[index].pid != pid) continue;
      slots[index].state = DRAINING;
      slots[index].status = status;
    }
  }
}

// Whether nothing of the container is left, after killing what was. With no other container alive that is everything
// but ourselves, in one call; else each container has its own mount namespace, which tells its processes.
static int drained(struct slot *slot, int others_run) {
  if (others_run) return slot->mount_namespace == 0 || walk(slot->mount_namespace) == 0;
  for (int round = 0; round < 2; round++) {
    if (kill(-1, SIGKILL) != 0 && errno == ESRCH) return 1;
    reap();
  }
  return 0;
}

// Kills what exited containers left and reports those that are empty; whether some are not.
static int drain(void) {
  int running = 0, pending = 0;
  for (uint32_t index = 0; index < STINT_SLOTS; index++) running += slots[index].state == RUNNING;
  for (uint32_t index = 0; index < STINT_SLOTS; index++) {
    struct slot *slot = &slots[index];
    if (slot->state == RUNNING && slot->kill_all) {
      // The main process may fork between the walk and its own death: go round until it was reaped.
      kill(slot->pid, SIGKILL);
      if (slot->mount_namespace != 0) walk(slot->mount_namespace);
      pending = 1;
    }
    if (slot->state != DRAINING) continue;
    if (!drained(slot, running > 0)) {
      pending = 1;
      continue;
    }
    report(STINT_EXITED, index, slot->status, 0, NULL);
    memset(slot, 0, sizeof *slot);
  }
  return pending;
}

static void start_container(uint32_t index) {
  struct slot *slot = &slots[index];
  static struct container_start start;
  memset(&start, 0, sizeof start);
  start.streams[0] = slot->streams[0];
  start.streams[1] = slot->streams[1];
  size_t offset = (slot->plan_length + 15) & ~(size_t)15;
  pid_t pid = stint_container_start(&start, slot->plan, slot->plan_length, (char **)(slot->plan + offset),
                                    (slot->plan_room - offset) / sizeof(char *));
  munmap(slot->plan, slot->plan_room);
  close(slot->streams[0]);
  close(slot->streams[1]);
  memset(slot, 0, sizeof *slot);
  if (pid < 0) {
    report(STINT_FAILED, index, start.error, start.stage, start.detail);
    return;
  }
  // The kernel gives a namespace's number again as soon as its last process ended, before we reap the container: what
  // bore the new one's number has nothing left, and must not take the new one's processes for its own.
  for (uint32_t other = 0; other < STINT_SLOTS; other++)
    if (slots[other].mount_namespace == start.mount_namespace) slots[other].mount_namespace = 0;
  slot->state = RUNNING;
  slot->pid = pid;
  slot->mount_namespace = start.mount_namespace;
  report(STINT_STARTED, index, pid, 0, NULL);
}

static void take_part(uint32_t index, size_t length) {
  struct slot *slot = &slots[index];
  if (slot->state != LOADING || length > slot->plan_length - slot->plan_filled) return;
  memcpy(slot->plan + slot->plan_filled, packet, length);
  slot->plan_filled += length;
  if (slot->plan_filled == slot->plan_length) start_container(index);
}

static void begin(uint32_t index, int32_t total, size_t length, const int streams[2]) {
  struct slot *slot = &slots[index];
  int error = 0;
  if (slot->state != FREE) error = EBUSY;
  if (total <= 0 || total > STINT_PLAN_LIMIT || streams[1] < 0) error = EINVAL;
  if (error == 0) {
    // Every string costs at least one byte of the plan, and a pointer; the two lists end with one more each.
    slot->plan_room = (size_t)total + 16 + ((size_t)total + 2) * sizeof(char *);
    slot->plan = mmap(NULL, slot->plan_room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slot->plan == MAP_FAILED) error = ENOMEM;
  }
  if (error != 0) {
    for (int stream = 0; stream < 2; stream++)
      if (streams[stream] >= 0) close(streams[stream]);
    report(STINT_FAILED, index, error, STINT_STAGE_PLAN, "container plan");
    return;
  }
  slot->state = LOADING;
  slot->plan_length = (size_t)total;
  slot->streams[0] = streams[0];
  slot->streams[1] = streams[1];
  take_part(index, length);
}

static void stop_all(void) {
  int running = -1;
  for (int round = 0; round < 200 && running != 0; round++) {
    // A process on its way to the stop may still fork or wake another: again, until nobody runs.
    kill(-1, SIGSTOP);
    running = walk(0);
    if (running == 0) break;
    struct timespec pause = {0, 500000};
    nanosleep(&pause, NULL);
  }
  report(STINT_STOPPED, 0, running, 0, NULL);
}

static void obey(const struct stint_message *message, size_t length, const int streams[2]) {
  if (message->slot >= STINT_SLOTS) return;
  struct slot *slot = &slots[message->slot];
  switch (message->type) {
    case STINT_START: begin(message->slot, message->value, length, streams); break;
    case STINT_PART: take_part(message->slot, length); break;
    case STINT_SIGNAL:
      if (slot->state == RUNNING) kill(slot->pid, message->value);
      break;
    case STINT_KILL:
      if (slot->state == RUNNING) slot->kill_all = 1;
      break;
    case STINT_STOP_ALL: stop_all(); break;
    case STINT_CONTINUE_ALL: kill(-1, SIGCONT); break;
    default: break;
  }
}

static void receive_order(void) {
  struct stint_message message;
  int streams[2];
  ssize_t length = stint_message_receive(STINT_POD_CONTROL, &message, packet, sizeof packet, streams);
  if (length >= 0) obey(&message, (size_t)length, streams);
  if (length < 0 && errno != EAGAIN && errno != EINTR) _exit(0);
}

static void on_child(int signo) { (void)signo; }

static void say_hello(void) {
  struct stint_message message = {STINT_HELLO, 0, 0, 0};
  int self = stint_pidfd_open(getpid());
  if (self < 0) _exit(125);
  // A keeper that has closed its end wants the pod ended, as everywhere else.
  if (stint_message_send(STINT_POD_CONTROL, &message, NULL, 0, &self, 1) < 0) _exit(errno == EPIPE ? 0 : 125);
  close(self);
}

void stint_pod_init(int under_bubblewrap) {
  prctl(PR_SET_NAME, "stint-pod");
  setsid();
  umask(022);
  // What the keeper ignored or blocked is not the containers' business: they inherit what is set here.
  // By the raw call (all zeroes is SIG_DFL): the library's leaves out the two signals that it uses itself.
  static const char by_default[64];
  for (int signo = 1; signo <= 64; signo++) syscall(SYS_rt_sigaction, signo, by_default, NULL, 8);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_child;
  sigaction(SIGCHLD, &action, NULL);
  sigset_t all, waiting;
  sigfillset(&all);
  waiting = all;
  sigdelset(&waiting, SIGCHLD);
  sigprocmask(SIG_SETMASK, &all, NULL);
  if (under_bubblewrap) say_hello();
  int pending = 0;
  for (;;) {
    struct pollfd control = {STINT_POD_CONTROL, POLLIN, 0};
    struct timespec soon = {0, 5000000};
    // SIGCHLD is open only here, so none is missed. While stragglers die, look again: not each death is told to us.
    int ready = ppoll(&control, 1, pending ? &soon : NULL, &waiting);
    if (ready > 0 && control.revents & (POLLHUP | POLLERR | POLLNVAL)) _exit(0);
    if (ready > 0 && control.revents & POLLIN) receive_order();
    reap();
    pending = drain();
  }
}
