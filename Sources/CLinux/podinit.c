// Owns: the pod's PID 1: takes orders from the keeper, reaps everything, kills what a container leaves behind (what was
// started in it later too), reports, and holds the pod's deadline by itself (rule K4): at it, it stops every process of
// the pod, and ends the pod when the keeper has not taken over within a margin. It never runs the pod's command itself,
// touches no file, never waits for anything but its control socket, its timer, its containers' starts and SIGCHLD, and
// ends (taking the whole namespace along) the moment the keeper's end of the socket closes. No malloc: it may be a clone of a process whose other threads
// held locks.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pod.h"
#include "podcalls.h"

// READY: its plan is whole, and it waits for the pod to go on, or for another's start. STARTING: its child has not
// reached its command yet; one container at a time, as it shares our memory.
enum slot_state { FREE, LOADING, READY, STARTING, RUNNING, DRAINING };

enum { SESSION_LOOKS = 16 };

// Containers come first, then what is started in them.

struct slot {
  enum slot_state state;
  pid_t pid;
  int status;
  int kill_all;            // an order to kill that has not emptied the container yet; of an exec, its turns
  int words;               // while STARTING: where its child's words are read
  ino_t mount_namespace;   // 0: not known yet, or another container bears the number: then all that had it is gone
  uint32_t container;      // of what is started in one: its slot; of a container among another's processes: 1 + that one's
  char *plan;              // until it has started: a mapping of plan_room bytes
  size_t plan_length, plan_filled, plan_room;
  int streams[STINT_STREAMS];
};

static struct slot slots[STINT_PLACES];
// What the child of a start has said of its failure; error 0: nothing. Not among the slots: each turn looks at all of
// these, and what they lie in is a page fault of every pod's start.
static struct container_word failures[STINT_PLACES];
static char packet[STINT_PART_LIMIT];
static int is_stopped;       // by order or at the deadline: nothing of the pod runs until STINT_CONTINUE_ALL
static int32_t continued;    // how often that came: tells the keeper which of its orders a report follows

// A container's namespace is known. The kernel gives a namespace's number again as soon as its last process ended,
// before we reap the container: what bore the new one's number has nothing left, and must not take the new one's
// processes for its own.
static void name_namespace(struct slot *slot, ino_t number) {
  for (uint32_t other = 0; other < STINT_SLOTS; other++)
    if (slots[other].mount_namespace == number) slots[other].mount_namespace = 0;
  slot->mount_namespace = number;
}

// The child of a start shares our memory no more.
static void end_start(struct slot *slot) {
  stint_close(slot->words);
  stint_unmap(slot->plan, slot->plan_room);
  slot->plan = NULL;
}

// Reads what a starting container's child has said, up to the end that its exec or its death makes.
static void hear(uint32_t index) {
  struct slot *slot = &slots[index];
  static struct container_word word;
  long size;
  while ((size = stint_read(slot->words, &word, sizeof word)) == (long)sizeof word) {
    if (word.error == 0)
      name_namespace(slot, word.mount_namespace);
    else
      failures[index] = word;
  }
  if (size == -EAGAIN || size == -EINTR) return;
  end_start(slot);
  struct container_word *failure = &failures[index];
  if (failure->error == 0) {
    slot->state = RUNNING;
    return stint_report(STINT_STARTED, index, slot->pid, 0, NULL);
  }
  // Its child has ended but for its last steps, and is reaped as any orphan.
  stint_report(STINT_FAILED, index, failure->error, failure->stage, failure->detail);
  failure->error = 0;
  memset(slot, 0, sizeof *slot);
}

static void reap(void) {
  int status;
  pid_t pid;
  while ((pid = (pid_t)stint_call(SYS_wait4, -1, (long)&status, WNOHANG, 0, 0)) > 0) {
    for (uint32_t index = 0; index < STINT_PLACES; index++) {
      if (slots[index].pid != pid) continue;
      // Dead, so all that it had to say is there.
      if (slots[index].state == STARTING) hear(index);
      if (slots[index].state != RUNNING) continue;
      if (index < STINT_SLOTS) {
        slots[index].state = DRAINING;
        slots[index].status = status;
      } else {
        // What it has left belongs to the container, and ends with that, unless it was ended with all that is its own.
        if (slots[index].kill_all) stint_pod_end_session(pid);
        memset(&slots[index], 0, sizeof slots[index]);
        stint_report(STINT_EXITED, index, status, 0, NULL);
      }
    }
  }
}

static void close_streams(struct slot *slot) {
  for (int stream = 0; stream < STINT_STREAMS; stream++)
    if (slot->streams[stream] >= 0) stint_close(slot->streams[stream]);
}

// A start that has come to nothing before there was a child.
static void abandon(uint32_t index, int error, int stage, const char *detail) {
  close_streams(&slots[index]);
  stint_unmap(slots[index].plan, slots[index].plan_room);
  memset(&slots[index], 0, sizeof slots[index]);
  stint_report(STINT_FAILED, index, error, stage, detail);
}

// Ends what was started in a container that has ended; whether some of it is not reaped yet. One that is on its way into
// the container does not have its mount namespace yet, by which the others are found.
static int end_execs(uint32_t container) {
  int left = 0;
  for (uint32_t index = STINT_SLOTS; index < STINT_PLACES; index++) {
    struct slot *slot = &slots[index];
    if (slot->state == FREE || slot->container != container) continue;
    if (slot->state == LOADING || slot->state == READY) {
      abandon(index, ESRCH, STINT_STAGE_JOIN, "the container has ended");
      continue;
    }
    stint_kill(slot->pid, SIGKILL);
    left = 1;
  }
  return left;
}

// Whether nothing of the container is left, after killing what was. With no other container alive that is everything
// but ourselves, in one call; else each container has its own mount namespace, which tells its processes.
static int drained(struct slot *slot, int others_live, int one_is_nameless) {
  if (others_live && slot->mount_namespace == 0) return 1;
  if (others_live) return !one_is_nameless && stint_pod_walk(slot->mount_namespace) == 0;
  for (int round = 0; round < 2; round++) {
    if (stint_kill(-1, SIGKILL) == -ESRCH) return 1;
    reap();
  }
  return 0;
}

// Goes on ending execs that nobody wants any more, a look at the pod for each; whether some are not over.
static int hurry_execs(void) {
  int pending = 0;
  for (uint32_t index = STINT_SLOTS; index < STINT_PLACES; index++) {
    struct slot *slot = &slots[index];
    if (!slot->kill_all || (slot->state != RUNNING && slot->state != STARTING)) continue;
    pending = 1;
    // One that runs may fork between the look and its death: again, but not for ever.
    if (slot->state == STARTING || slot->kill_all++ > SESSION_LOOKS || stint_pod_end_session(slot->pid) == 0)
      stint_kill(slot->pid, SIGKILL);
  }
  return pending;
}

// Kills what exited containers left and reports those that are empty; whether some are not.
static int drain(void) {
  int living = 0, nameless = 0, pending = hurry_execs();
  for (uint32_t index = 0; index < STINT_SLOTS; index++) {
    enum slot_state state = slots[index].state;
    living += state == RUNNING || state == STARTING;
    // It may have been given the number of a namespace that is just being emptied.
    nameless += state == STARTING && slots[index].mount_namespace == 0;
  }
  for (uint32_t index = 0; index < STINT_SLOTS; index++) {
    struct slot *slot = &slots[index];
    if ((slot->state == RUNNING || slot->state == STARTING) && slot->kill_all) {
      // The main process may fork between the walk and its own death: go round until it was reaped.
      stint_kill(slot->pid, SIGKILL);
      if (slot->mount_namespace != 0 && !nameless) stint_pod_walk(slot->mount_namespace);
      pending = 1;
    }
    if (slot->state != DRAINING) continue;
    int others = end_execs(index);
    if (!drained(slot, living > 0, nameless > 0) || others) {
      pending = 1;
      continue;
    }
    stint_report(STINT_EXITED, index, slot->status, 0, NULL);
    memset(slot, 0, sizeof *slot);
  }
  return pending;
}

static void start_exec(uint32_t index) {
  struct slot *slot = &slots[index];
  struct slot *container = &slots[slot->container];
  if (container->state != RUNNING) return abandon(index, ESRCH, STINT_STAGE_JOIN, "the container does not run");
  struct container_start start;
  memset(&start, 0, sizeof start);
  memcpy(start.streams, slot->streams, sizeof start.streams);
  size_t offset = (slot->plan_length + 15) & ~(size_t)15;
  int stage = 0;
  long pid = stint_exec_start(&start, slot->plan, slot->plan_length, (char **)(slot->plan + offset),
                              (slot->plan_room - offset) / sizeof(char *), container->pid, &slot->words, &stage);
  if (pid < 0) return abandon(index, (int)-pid, stage, stage == STINT_STAGE_JOIN ? "the container has ended" : "fork");
  close_streams(slot);
  slot->state = STARTING;
  slot->pid = (pid_t)pid;
}

static void start_container(uint32_t index) {
  struct slot *slot = &slots[index];
  static struct container_start start;
  memset(&start, 0, sizeof start);
  memcpy(start.streams, slot->streams, sizeof start.streams);
  size_t offset = (slot->plan_length + 15) & ~(size_t)15;
  int words = -1, stage = 0;
  const struct slot *target = slot->container > 0 ? &slots[slot->container - 1] : NULL;
  if (target != NULL && target->state != RUNNING)
    return abandon(index, ESRCH, STINT_STAGE_JOIN, "the target container does not run");
  pid_t pid = stint_container_start(&start, slot->plan, slot->plan_length, (char **)(slot->plan + offset),
                                    (slot->plan_room - offset) / sizeof(char *), target != NULL ? target->pid : 0, &words,
                                    &stage);
  if (pid < 0) {
    const char *what = stage == STINT_STAGE_PLAN ? "container plan" : "clone";
    return abandon(index, errno, stage, stage == STINT_STAGE_JOIN ? "the target container has ended" : what);
  }
  close_streams(slot);
  slot->state = STARTING;
  slot->pid = pid;
  slot->words = words;
}

// Begins what was ordered in containers, and the next container's start, unless the pod stands still or another start is
// under way.
static void start_next(void) {
  if (is_stopped) return;
  for (uint32_t index = STINT_SLOTS; index < STINT_PLACES; index++)
    if (slots[index].state == READY) start_exec(index);
  for (uint32_t index = 0; index < STINT_SLOTS; index++)
    if (slots[index].state == STARTING) return;
  for (uint32_t index = 0; index < STINT_SLOTS; index++) {
    if (slots[index].state != READY) continue;
    start_container(index);
    if (slots[index].state == STARTING) return;
  }
}

static void take_part(uint32_t index, size_t length) {
  struct slot *slot = &slots[index];
  if (slot->state != LOADING || length > slot->plan_length - slot->plan_filled) return;
  memcpy(slot->plan + slot->plan_filled, packet, length);
  slot->plan_filled += length;
  if (slot->plan_filled < slot->plan_length) return;
  slot->state = READY;
}

static void begin(const struct stint_message *order, size_t length, const int streams[STINT_STREAMS]) {
  uint32_t index = order->slot;
  int32_t total = order->value;
  int is_exec = order->type == STINT_EXEC;
  struct slot *slot = &slots[index];
  int error = 0;
  if (slot->state != FREE) error = EBUSY;
  if (total <= 0 || total > STINT_PLAN_LIMIT || streams[0] < 0) error = EINVAL;
  if (is_exec != (index >= STINT_SLOTS) || (uint32_t)order->extra >= STINT_SLOTS + !is_exec) error = EINVAL;
  if (error == 0) {
    // Every string costs at least one byte of the plan, and a pointer; the two lists end with one more each.
    slot->plan_room = (size_t)total + 16 + ((size_t)total + 2) * sizeof(char *);
    slot->plan = stint_map(slot->plan_room);
    if (slot->plan == NULL) error = ENOMEM;
  }
  if (error != 0) {
    for (int stream = 0; stream < STINT_STREAMS; stream++)
      if (streams[stream] >= 0) stint_close(streams[stream]);
    stint_report(STINT_FAILED, index, error, STINT_STAGE_PLAN, "container plan");
    return;
  }
  slot->state = LOADING;
  slot->plan_length = (size_t)total;
  slot->container = (uint32_t)order->extra;
  memcpy(slot->streams, streams, sizeof slot->streams);
  take_part(index, length);
}

static void stop_all(void) {
  int running = -1;
  is_stopped = 1;
  for (int round = 0; round < 200 && running != 0; round++) {
    // A process on its way to the stop may still fork or wake another: again, until nobody runs.
    stint_kill(-1, SIGSTOP);
    running = stint_pod_walk(0);
    if (running == 0) break;
    struct timespec pause = {0, 500000};
    stint_call(SYS_nanosleep, (long)&pause, 0, 0, 0, 0);
  }
  stint_report(STINT_STOPPED, 0, running, continued, NULL);
}

static void continue_all(void) {
  is_stopped = 0;
  continued++;
  stint_kill(-1, SIGCONT);
}

// Acts on the pod's own deadline. What it stopped goes on only by the keeper's order: a deadline that has moved on
// meanwhile is no word that the attempt is still current.
static void hold_deadline(void) {
  switch (stint_deadline_look()) {
    case STINT_DEADLINE_AHEAD: break;
    case STINT_DEADLINE_OVER:
      if (!is_stopped) stop_all();
      break;
    case STINT_DEADLINE_MARGIN_OVER: _exit(0);
  }
}

static void obey(const struct stint_message *message, size_t length, const int streams[STINT_STREAMS]) {
  if (message->slot >= STINT_PLACES) return;
  struct slot *slot = &slots[message->slot];
  switch (message->type) {
    case STINT_START:
    case STINT_EXEC: begin(message, length, streams); break;
    case STINT_PART: take_part(message->slot, length); break;
    case STINT_SIGNAL:
      if (slot->state == RUNNING || slot->state == STARTING) stint_kill(slot->pid, message->value);
      break;
    case STINT_KILL:
      if (message->slot >= STINT_SLOTS && (slot->state == LOADING || slot->state == READY))
        abandon(message->slot, ECANCELED, STINT_STAGE_JOIN, "not wanted any more");
      if (slot->state != RUNNING && slot->state != STARTING) break;
      // Of what was started in a container its session is its own, as a terminal that hangs up ends it; what has made
      // itself another one belongs to the container.
      slot->kill_all = 1;
      break;
    case STINT_STOP_ALL: stop_all(); break;
    case STINT_CONTINUE_ALL: continue_all(); break;
    default: break;
  }
}

static void receive_order(void) {
  struct stint_message message;
  int streams[STINT_STREAMS];
  long length = stint_packet_receive(STINT_POD_CONTROL, &message, packet, sizeof packet, streams);
  if (length >= 0) obey(&message, (size_t)length, streams);
  if (length < 0 && length != -EAGAIN && length != -EINTR) _exit(0);
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

static void set_signals(sigset_t *waiting) {
  // What the keeper ignored or blocked is not the containers' business: they inherit what is set here.
  // By the raw call (all zeroes is SIG_DFL): the library's leaves out the two signals that it uses itself.
  static const char by_default[64];
  for (int signo = 1; signo <= 64; signo++) syscall(SYS_rt_sigaction, signo, by_default, NULL, 8);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_child;
  action.sa_flags = SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, NULL);
  sigset_t all;
  sigfillset(&all);
  *waiting = all;
  sigdelset(waiting, SIGCHLD);
  sigprocmask(SIG_SETMASK, &all, NULL);
}

// Waits until something is to be done; obeys one order at most. `soon`: look again shortly.
static void turn(int timer, int soon, const sigset_t *waiting) {
  struct pollfd watched[2 + STINT_PLACES] = {{STINT_POD_CONTROL, POLLIN, 0}, {timer, POLLIN, 0}};
  uint32_t starting[STINT_PLACES];
  nfds_t count = 2;
  if (stint_reports_flush()) watched[0].events |= POLLOUT;
  for (uint32_t index = 0; index < STINT_PLACES; index++) {
    if (slots[index].state != STARTING) continue;
    starting[count - 2] = index;
    // Its namespace's number is needed early only while another container is being emptied; the end always shows.
    watched[count++] = (struct pollfd){slots[index].words, soon ? POLLIN : 0, 0};
  }
  struct timespec pause = {0, 5000000};
  // SIGCHLD is open only here, so none is missed. While stragglers die, look again: not each death is told to us.
  long ready = stint_call(SYS_ppoll, (long)watched, (long)count, soon ? (long)&pause : 0, (long)waiting, 8);
  // Before any order is obeyed: one that came too late must not start anything.
  hold_deadline();
  if (ready <= 0) return;
  if (watched[0].revents & (POLLHUP | POLLERR | POLLNVAL)) _exit(0);
  for (nfds_t at = 2; at < count; at++)
    if (watched[at].revents != 0) hear(starting[at - 2]);
  if (watched[0].revents & POLLIN) receive_order();
}

void stint_pod_init(int under_bubblewrap, const int64_t *deadline, const char *name) {
  int timer = stint_deadline_begin(deadline);
  sigset_t waiting;
  prctl(PR_SET_NAME, name);
  setsid();
  umask(022);
  set_signals(&waiting);
  if (under_bubblewrap) say_hello();
  int pending = 0;
  for (;;) {
    hold_deadline();
    start_next();
    turn(timer, pending, &waiting);
    reap();
    pending = drain();
  }
}
