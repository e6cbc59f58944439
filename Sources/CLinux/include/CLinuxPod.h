// The pod init and its keeper: how a pod is started, and the messages of its control socket (SOCK_SEQPACKET, one
// message a packet, host byte order: both ends are this binary). ClusterIO's PodProcess is the keeper's end, podinit.c
// the pod's.
#ifndef CLINUX_POD_H
#define CLINUX_POD_H

#include <stdint.h>
#include <sys/types.h>

enum {
  STINT_SLOTS = 128,               // containers of a pod that may run at once
  STINT_EXECS = 96,                // and processes started in them; the first has the number STINT_SLOTS
  STINT_PLACES = STINT_SLOTS + STINT_EXECS,
  STINT_STREAMS = 3,               // descriptors that a message may pass
  STINT_PART_LIMIT = 48 * 1024,    // payload bytes of one message
  STINT_PLAN_LIMIT = 4 << 20,      // bytes of a whole plan
  STINT_DETAIL_LIMIT = 480,        // bytes of STINT_FAILED's text
  STINT_POD_CONTROL = 3,           // the control socket's descriptor in every pod init
  STINT_POD_MARKER = 4,            // the keeper's marker directory there: a successor finds its pods by it
  STINT_POD_DEADLINES = 6,         // the table of deadlines, while bubblewrap starts an init; closed once it is mapped
  STINT_DEADLINE_MARGIN_MS = 1000, // a pod init kills its pod this long after the pod's deadline
  STINT_DEADLINE_LOOK_MS = 10000,  // and reads its deadline at least this often, as long as it has one
  STINT_USER_COUNT = 65536,        // ids of a pod with users of its own
};

// The word of a pod that no deadline ends: unlimited toleration, or frozen by its keeper.
#define STINT_NO_DEADLINE INT64_MAX

enum stint_message_type {
  // keeper to init
  STINT_START = 1,       // slot; value = bytes of the whole plan; payload = its first part; passes stdout, stderr and,
                         // where it has one, stdin, or with a terminal a socket for its other end; extra = 1 + the slot
                         // of a container among whose processes it starts, or 0
  STINT_PART = 2,        // slot; payload = the plan's next part; the container starts when all are there
  STINT_SIGNAL = 3,      // slot; value = signal, to the container's main process
  STINT_KILL = 4,        // slot: SIGKILL to every process of the container
  STINT_STOP_ALL = 5,    // SIGSTOP to every process of the pod, until none runs; answered by STINT_STOPPED
  STINT_CONTINUE_ALL = 6, // undoes it, and what the init stopped at its own deadline; containers wait for it to start
  STINT_EXEC = 7,         // as START, of a process in a container that runs: slot from STINT_SLOTS on; extra = the
                          // container's slot; passes its three streams, or with a terminal a socket for its other end
  // init to keeper
  STINT_HELLO = 16,      // sent by a pod init under bubblewrap only: passes a pidfd of itself; value is 0
  STINT_STARTED = 17,    // slot; value = the main process' id inside the pod
  STINT_EXITED = 18,     // slot; value = wait status of the main process; no process of the container is left
  STINT_FAILED = 19,     // slot; value = errno; extra = stint_stage; payload = what it was done to
  STINT_STOPPED = 20,    // value = processes that still run (0: all stopped); extra = STINT_CONTINUE_ALLs obeyed so
                         // far; comes unasked when the pod's own deadline is over
  // a process with a terminal to whom passed the socket
  STINT_TERMINAL = 32,   // passes the terminal's other end
};

// Where a container's start failed.
enum stint_stage {
  STINT_STAGE_PLAN = 1,
  STINT_STAGE_CLONE = 2,
  STINT_STAGE_MOUNT = 3,
  STINT_STAGE_DIRECTORY = 4,
  STINT_STAGE_USER = 5,
  STINT_STAGE_STREAMS = 6,
  STINT_STAGE_EXEC = 7,
  STINT_STAGE_INTERPRETER = 8, // the command is there; what its first line (or its ELF header: empty) names is not
  STINT_STAGE_JOIN = 9,        // the container that it was to run in does not run
  STINT_STAGE_TERMINAL = 10,
  STINT_STAGE_CGROUP = 11,     // a limit cannot be kept: better not started than without it
  STINT_STAGE_USERS = 12,      // the pod's user namespace
};

struct stint_message {
  uint32_t type;
  uint32_t slot;
  int32_t value;
  int32_t extra;
};

// A plan is this header, then NUL-terminated strings: arguments, environment, working directory, the `cgroup.procs`
// files of cgroup_count cgroups that the container is in; then group_count
// uint32_t; then filter_length bytes of a seccomp filter (struct sock_filter each); then each mount operation: a
// stint_operation and its strings source, destination, detail.
struct stint_plan {
  int32_t user;             // -1: as the keeper
  int32_t group;            // -1: as the keeper
  int32_t oom_score_adjust; // -1000...1000; INT32_MIN leaves it
  uint32_t argument_count;
  uint32_t environment_count;
  uint32_t group_count;
  uint32_t operation_count;
  uint32_t flags;                // stint_plan_flag
  uint32_t capabilities[2];      // with CONFINED: the bounding set, a bit each, the lower half first
  uint32_t filter_length;        // 0: no filter
  uint16_t columns, rows;        // of its terminal, with STINT_PLAN_TERMINAL
  uint32_t cgroup_count;
  uint32_t first_user;           // the pod has a user namespace: its ids from 0 on are the host's from here on; else 0
};

enum stint_plan_flag {
  STINT_PLAN_CONFINED = 1,          // its capabilities are bounded, and no_new_privs is set only where asked for
  STINT_PLAN_NO_NEW_PRIVILEGES = 2, // set-uid programs give nothing
  STINT_PLAN_OWN_PROCESSES = 4,     // a PID namespace of the container's own, its command the first process
  STINT_PLAN_POD_UTS = 8,           // the pod has a host name of its own, shared by its containers
  STINT_PLAN_POD_IPC = 16,          // and System V IPC and message queues
  STINT_PLAN_TERMINAL = 32,         // its streams are a terminal
};

struct stint_operation {
  uint32_t kind;  // stint_operation_kind
  uint32_t flags; // stint_bind_flag (bind), stint_image_flag (image)
  uint32_t mode;  // permissions of what is made
};

enum stint_bind_flag {
  STINT_BIND_READ_ONLY = 1,
  STINT_BIND_AS_USER = 2, // its source is looked up with the rights of the plan's user, where it has one
  STINT_BIND_NO_DEVICES = 4, // device files in it open nothing
  STINT_BIND_SHIFTED = 8,    // in a pod with users of its own its files are theirs: what 0 owns is its root's
};

enum stint_image_flag {
  STINT_IMAGE_IN_MEMORY = 1, // what the container changes is kept in a tmpfs
};

// Executed in order in the container's own mount namespace. Sources are paths of the host; destinations are resolved
// inside the current root (the host's, or the one of NEW_ROOT) as the container would, links included. Nothing is
// ever made on the host's own file systems: MAKE_* outside a mount made here fails with EROFS.
enum stint_operation_kind {
  STINT_BIND = 1,           // source (detail: a path below it that may not leave it) onto destination, recursive
  STINT_TMPFS = 2,          // an empty tmpfs on destination; detail: options, as size=64m
  STINT_MAKE_DIRECTORY = 3, // destination, with its parents
  STINT_MAKE_FILE = 4,      // destination, empty; its parents are made too
  STINT_SYMLINK = 5,        // destination pointing to source
  STINT_OVERLAY = 6,        // destination's content (or source's) with changes kept in memory
  STINT_MIRROR = 7,         // a tmpfs on destination with source's entries bound in
  STINT_NEW_ROOT = 8,       // destinations are below source from here on
  STINT_PIVOT = 9,          // makes the new root the container's root
  STINT_PROC = 10,          // the pod's own /proc on destination, or the container's
  STINT_IMAGE = 11,         // the new root: layers (detail: their names in source, the highest first, with a colon
                            // between two) under a layer for changes; destination has `upper`, `work` and `root` for it,
                            // or, in memory, is a directory to mount on
  STINT_SYSFS = 12,         // /sys on destination, read-only unless mode is 0200
  STINT_TERMINALS = 13,     // a devpts of the container's own
  STINT_QUEUES = 14,        // the pod's message queues
  STINT_MASK = 15,          // hides destination, if it is there
  STINT_SEAL = 16,          // makes destination, and what is mounted below it, read-only, if it is there; "/": the root's
                            // own file system alone
  STINT_HOST_NAME = 17,     // the pod's host name is source
  STINT_ROOT = 18,          // the new root: what is mounted at detail, with all below it, in the mount namespace that
                            // source leads to; it is mounted on destination
};

// Gives the calling thread, which is never another's again, a mount namespace of its own: what the host unmounts goes in
// it too, nothing that is mounted in it is seen elsewhere. 0, or -1 and errno.
int stint_mounts_apart(void);

// Runs a plan's mount operations in the calling thread's mount namespace. 0, or -1 with errno and in `detail` what it was
// done to.
int stint_mounts_here(const uint8_t *plan, size_t length, char *detail, size_t room);

// A table of `count` deadlines (a memory file); its descriptor, or -1 and errno. Only a keeper and its pod inits have
// it: it is closed and unmapped before a container's command runs.
int stint_deadlines_make(uint32_t count);

// Its words, mapped here and in every child that is cloned from here; NULL and errno on failure.
int64_t *stint_deadlines_map(int table, uint32_t count);

// Moves a pod's deadline: CLOCK_BOOTTIME in nanoseconds, or STINT_NO_DEADLINE. One store: the init reads it when its
// timer strikes, so one that comes nearer holds within STINT_DEADLINE_LOOK_MS. A deadline that comes back needs an
// order after it, so that the init looks.
void stint_deadline_set(int64_t *word, int64_t boottime_nanoseconds);

// Starts a pod: a child in a PID namespace of its own that runs the pod init at once, without exec. `control` and
// `marker` (or -1) stay the caller's. `cgroup` is a cgroup v2 directory to start it in, or -1. `deadline` is its word in
// a mapped table, set before: the init's timer is armed on it before anything else. The init starts nothing
// before it is told to, dies with the calling thread, and takes the pod along. `name` is the process' name from then on:
// what tells it when it has no descriptors any more. Its id, and *pidfd; or -1 and errno.
pid_t stint_pod_start(int control, int marker, int cgroup, const int64_t *deadline, const char *name, int *pidfd);

// sendmsg with up to STINT_STREAMS descriptors; the message's size, or -1 and errno. Never waits.
ssize_t stint_message_send(int socket, const struct stint_message *header, const void *payload, size_t length,
                           const int *descriptors, int count);

// recvmsg: payload bytes (its room is `room`), 0 payload for a bare header, -1 and errno (EPIPE at the end).
// The passed descriptors, close-on-exec, are in `descriptors`; -1 where none came. Never waits.
ssize_t stint_message_receive(int socket, struct stint_message *header, void *payload, size_t room,
                              int descriptors[STINT_STREAMS]);

// A socket for messages, connected to the one at `path` (at most 107 bytes), or (`listens`) one that waits there for such
// connections, with mode 0600. Close-on-exec, never waits. -1 and errno.
int stint_message_socket(const char *path, int listens);

// Gives a terminal that was passed another size; 0, or -1 and errno.
int stint_terminal_resize(int terminal, uint16_t columns, uint16_t rows);

// The process' end of a terminal that was passed: whoever has it open keeps the terminal as it is when its last process
// has closed it. A descriptor, close-on-exec, or -1 and errno.
int stint_terminal_hold(int terminal);

// Two connected sockets for a pod's control, close-on-exec, the keeper's end (first) non-blocking. 0, or -1 and errno.
int stint_control_pair(int pair[2]);

#endif
