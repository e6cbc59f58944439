// Owns: how a pod init comes to life: cloned from the keeper, or executed by bubblewrap as `stint pod-init`; and the
// packets of the control socket. It must not know what a container is.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "pod.h"
#include "podcalls.h"

// Puts the descriptors where a pod init has them and closes all others: another pod's control socket kept open here
// would hide its keeper's end.
static int settle_descriptors(int control, int marker) {
  int null = open("/dev/null", O_RDWR);
  int high_control = fcntl(control, F_DUPFD, 16);
  int high_marker = marker >= 0 ? fcntl(marker, F_DUPFD, 16) : -1;
  if (null < 0 || high_control < 0) return -1;
  for (int stream = 0; stream < 3; stream++)
    if (dup2(null, stream) < 0) return -1;
  if (dup3(high_control, STINT_POD_CONTROL, O_CLOEXEC) < 0) return -1;
  if (high_marker >= 0)
    dup3(high_marker, STINT_POD_MARKER, O_CLOEXEC);
  else
    close(STINT_POD_MARKER);
  return close_range(STINT_POD_MARKER + 1, ~0U, 0);
}

// The keeper's arguments after its program's name, as `ps` reads them; NULL in any other program.
static char *keeper_arguments;
static size_t keeper_arguments_size;

__attribute__((constructor)) static void note_keeper(int argc, char **argv) {
  if (argc < 2 || strcmp(argv[1], "keeper") != 0) return;
  char *end = argv[1];
  for (int index = 1; index < argc; index++) {
    if (argv[index] != end) return;
    end += strlen(end) + 1;
  }
  keeper_arguments = argv[1];
  keeper_arguments_size = (size_t)(end - argv[1]);
  // All threads in one heap, which `keep_heap` knows.
  mallopt(M_ARENA_MAX, 1);
}

// A clone is shown by what its maker was started as: `stint pod --data DIR …` instead of `stint keeper --data DIR …`.
static void show_as_pod(void) {
  static const char name[] = "pod";
  if (keeper_arguments == NULL) return;
  size_t old = strlen(keeper_arguments) + 1;
  size_t rest = keeper_arguments_size - old;
  memcpy(keeper_arguments, name, sizeof name);
  memmove(keeper_arguments + sizeof name, keeper_arguments + old, rest);
  memset(keeper_arguments + sizeof name + rest, 0, old - sizeof name);
}

// Leaves the program's heap out of what a clone gets. A pod init uses none of it (no malloc), and copying its page tables,
// and then each page that the keeper writes to, was a third of a pod's start. What the heap has grown by since the last
// start is in the clone until the call here; a heap that cannot be found is only slower.
static void keep_heap(void) {
  static char *heap, *kept;
  if (heap == NULL) {
    char text[1024], *end;
    int file = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t size = file >= 0 ? read(file, text, sizeof text - 1) : -1;
    if (file >= 0) close(file);
    if (size <= 0) return;
    text[size] = 0;
    // Its name, the second field, may hold anything; after its last parenthesis the third begins, and the heap is the 47th.
    char *field = strrchr(text, ')');
    for (int number = 2; field != NULL && number < 47; number++) field = strchr(field + 1, ' ');
    if (field == NULL) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)strtoull(field, &end, 10);
    if (start == 0) return;
    heap = kept = (char *)((start + page - 1) & ~(page - 1));
  }
  char *end = sbrk(0);
  // One that has shrunk and grown again has lost the mark where it was gone.
  if (end == kept || end <= heap) return;
  if (madvise(heap, (size_t)(end - heap), MADV_DONTFORK) == 0) kept = end;
}

pid_t stint_pod_start(int control, int marker, int cgroup, const int64_t *deadline, const char *name, int *pidfd) {
  struct clone_args arguments;
  char shown[16];
  // The caller's may be in the heap.
  strncpy(shown, name, sizeof shown - 1);
  shown[sizeof shown - 1] = 0;
  keep_heap();
  memset(&arguments, 0, sizeof arguments);
  arguments.flags = CLONE_NEWPID | CLONE_PIDFD;
  arguments.pidfd = (uint64_t)(uintptr_t)pidfd;
  arguments.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = (uint64_t)cgroup;
  }
  pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid != 0) return pid;
  // Before anything else: from here on the pod cannot outlive the keeper. A keeper that died earlier is seen by its
  // closed end of the control socket, before the first order is read.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  show_as_pod();
  if (settle_descriptors(control, marker) != 0) _exit(125);
  stint_pod_init(0, deadline, shown);
}

// The word of that number in the table that was passed; NULL when there is none.
static const int64_t *map_deadline(const char *number) {
  struct stat facts;
  char *end;
  unsigned long index = strtoul(number, &end, 10);
  if (*end != 0 || fstat(STINT_POD_DEADLINES, &facts) != 0) return NULL;
  if (facts.st_size < 0 || index >= (size_t)facts.st_size / sizeof(int64_t)) return NULL;
  int64_t *words = stint_deadlines_map(STINT_POD_DEADLINES, (uint32_t)((size_t)facts.st_size / sizeof(int64_t)));
  return words != NULL ? words + index : NULL;
}

// `stint pod-init NUMBER NAME` must run before the Swift runtime starts threads or takes signals, hence a constructor.
__attribute__((constructor)) static void run_as_pod_init(int argc, char **argv) {
  if (argc != 4 || strcmp(argv[1], "pod-init") != 0) return;
  int type = 0;
  socklen_t size = sizeof type;
  if (getpid() != 1 || getsockopt(STINT_POD_CONTROL, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    static const char text[] = "stint pod-init: only a keeper starts this\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(2);
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int marker = fcntl(STINT_POD_MARKER, F_GETFD) >= 0 ? STINT_POD_MARKER : -1;
  const int64_t *deadline = map_deadline(argv[2]);
  if (deadline == NULL || settle_descriptors(STINT_POD_CONTROL, marker) != 0) _exit(125);
  stint_pod_init(1, deadline, argv[3]);
}

int stint_message_socket(const char *path, int listens) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return errno = ENAMETOOLONG, -1;
  strcpy(address.sun_path, path);
  int made = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (made < 0) return -1;
  int result;
  if (listens) {
    unlink(path);
    // Nobody can connect between bind and listen, so the mode is right before the first connection.
    result = bind(made, (struct sockaddr *)&address, sizeof address);
    if (result == 0) result = chmod(path, 0600);
    if (result == 0) result = listen(made, 128);
  } else {
    result = connect(made, (struct sockaddr *)&address, sizeof address);
  }
  if (result == 0) return made;
  int error = errno;
  close(made);
  return errno = error, -1;
}

int stint_control_pair(int pair[2]) {
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -1;
  if (fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0) return 0;
  int error = errno;
  close(pair[0]);
  close(pair[1]);
  errno = error;
  return -1;
}

long stint_packet_send(int socket, const struct stint_message *header, const void *payload, size_t length,
                       const int *descriptors, int count) {
  struct iovec parts[2] = {{(void *)header, sizeof *header}, {(void *)payload, length}};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = parts;
  message.msg_iovlen = length > 0 ? 2 : 1;
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(STINT_STREAMS * sizeof(int))];
  } control;
  if (count > STINT_STREAMS) count = STINT_STREAMS;
  if (count > 0) {
    memset(&control, 0, sizeof control);
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int));
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
    memcpy(CMSG_DATA(rights), descriptors, (size_t)count * sizeof(int));
  }
  return stint_call(SYS_sendmsg, socket, (long)&message, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
}

long stint_packet_receive(int socket, struct stint_message *header, void *payload, size_t room,
                          int descriptors[STINT_STREAMS]) {
  struct iovec parts[2] = {{header, sizeof *header}, {payload, room}};
  struct msghdr message;
  memset(&message, 0, sizeof message);
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(STINT_STREAMS * sizeof(int))];
  } control;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  for (int stream = 0; stream < STINT_STREAMS; stream++) descriptors[stream] = -1;
  long size = stint_call(SYS_recvmsg, socket, (long)&message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, 0, 0);
  if (size < 0) return size;
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  if (rights != NULL && rights->cmsg_type == SCM_RIGHTS) {
    size_t length = rights->cmsg_len - CMSG_LEN(0);
    size_t most = STINT_STREAMS * sizeof(int);
    memcpy(descriptors, CMSG_DATA(rights), length <= most ? length : most);
  }
  return size < (long)sizeof *header ? -EPIPE : size - (long)sizeof *header;
}

static ssize_t with_errno(long result) {
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}

ssize_t stint_message_send(int socket, const struct stint_message *header, const void *payload, size_t length,
                           const int *descriptors, int count) {
  return with_errno(stint_packet_send(socket, header, payload, length, descriptors, count));
}

ssize_t stint_message_receive(int socket, struct stint_message *header, void *payload, size_t room,
                              int descriptors[STINT_STREAMS]) {
  return with_errno(stint_packet_receive(socket, header, payload, room, descriptors));
}
