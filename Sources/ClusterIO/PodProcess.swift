// Owns: the keeper's end of one pod: starting its init, orders to it, its reports, the proof that all of it is gone.
// It must not know attempts, leases or restart rules. The thread that starts pods must live as long as they shall: the
// kernel ends a pod with the thread that made it (PDEATHSIG).

import CLinux
import Glibc

/// A pod here: a PID namespace whose first process is the C pod init. The loop keeps it alive until `onGone`.
package final class PodProcess {
  /// Who makes the namespaces.
  package enum Isolation: Equatable, Sendable {
    /// The C shim, by clone: needs root.
    case namespaces
    /// bubblewrap, at this path: works without root where user namespaces do.
    case bubblewrap(program: String)
  }

  /// How a pod is started.
  package struct Options {
    /// Who makes the namespaces.
    package var isolation: Isolation
    /// The keeper's data directory, if it has one: a successor finds the pod by it (`PodSweep`).
    package var marker: PodMarker?
    /// The cgroup it is started in (only with `.namespaces`); give it back to its pool after `onGone`.
    package var cgroup: PodCgroup?
    /// When its init stops it without being told (K4). It is freed when the pod is gone.
    package let deadline: PodDeadline

    /// Options with nothing but what every pod needs.
    package init(isolation: Isolation, deadline: PodDeadline) {
      self.isolation = isolation
      self.deadline = deadline
    }
  }

  /// Why a container did not start.
  package struct StartFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// Where: `plan`, `clone`, `mount`, `workingDir`, `user`, `streams`, `exec`, `interpreter`, `join`,
    /// `terminal` or `cgroup`.
    package let stage: String
    /// What failed and why; its subject names the path or command.
    package let error: IOError
    /// `stage: subject: message`.
    package var description: String { "\(stage): \(error.subject): \(error.message)" }
  }

  /// What is told of a process that was to be started in a container.
  package enum ExecWord: Equatable, Sendable {
    /// Its command runs.
    case started
    /// Nothing of it ran.
    case failed(StartFailure)
    /// It ended; what it has started may go on in the container.
    case exited(ProcessExit)
  }

  /// How many processes may be started in its containers at once, beside the containers' own.
  package static let execPlaces = Int(STINT_EXECS)

  /// How a pod ended.
  package struct Gone: Equatable, Sendable {
    /// How its init (or bubblewrap) ended: code 0 after `finish`, SIGKILL after `kill`.
    package let exit: ProcessExit
    /// What bubblewrap said, if it could not start the pod; else empty.
    package let message: String
  }

  /// A container's main process runs; its id inside the pod.
  package var onStarted: ((_ slot: Int, _ pid: Int32) -> Void)?
  /// A container's main process ended and no process of the container is left.
  package var onExited: ((_ slot: Int, ProcessExit) -> Void)?
  /// A container did not start.
  package var onStartFailed: ((_ slot: Int, StartFailure) -> Void)?
  /// What became of a process that was to be started in a container; a failure or an exit is the last word of it.
  package var onExec: ((_ place: Int, ExecWord) -> Void)?
  /// Whether everything in the pod stands still: the answer to `freeze`, and unasked when its own deadline was over.
  package var onFrozen: ((Bool) -> Void)?
  /// Every process of the pod is dead and reaped. Called once, last.
  package var onGone: ((Gone) -> Void)?

  /// The init in the host's numbering and when it started, read from /proc; nil when it is gone, and under bubblewrap
  /// until it has said hello.
  package var identity: ProcessIdentity? {
    initDescriptor >= 0 ? ProcessIdentity.read(descriptor: initDescriptor) : nil
  }
  /// The cgroup it was started in.
  package let cgroup: PodCgroup?

  private struct Message {
    var header: stint_message
    var payload: ArraySlice<UInt8>
    var descriptors: [Int32]
  }

  private static let firstExec = Int(STINT_SLOTS)

  private let loop: EventLoop
  private let mountsProc: Bool
  private var control: Int32
  private var deadline: PodDeadline?
  private var thaws: Int32 = 0
  private var initDescriptor: Int32 = -1
  private var bubblewrap: Child?
  private var bubblewrapOutput: Int32 = -1
  private var exit: ProcessExit?
  private var waiting: [Message] = []
  private var waitsForRoom = false
  private var freezeWatch: Int32 = -1
  private var receiveBuffer = [UInt8](repeating: 0, count: Int(STINT_DETAIL_LIMIT))

  /// Starts the pod. It runs nothing until `startContainer`: record its identity first.
  package init(loop: EventLoop, options: Options) throws(IOError) {
    self.loop = loop
    cgroup = options.cgroup
    deadline = options.deadline
    mountsProc = options.isolation == .namespaces
    var pair: [Int32] = [-1, -1]
    guard stint_control_pair(&pair) == 0 else { throw IOError.last("socketpair") }
    control = pair[0]
    defer { close(pair[1]) }
    do throws(IOError) {
      switch options.isolation {
      case .namespaces:
        let pid = stint_pod_start(
          pair[1], options.marker?.descriptor ?? -1, options.cgroup?.descriptor ?? -1, options.deadline.word,
          options.marker?.name ?? PodMarker.plainName, &initDescriptor)
        guard pid > 0 else { throw IOError.last("start pod") }
        try loop.add(initDescriptor, .readable) { [self] _ in initEnded() }
      case .bubblewrap(let program):
        try startBubblewrap(program, control: pair[1], options)
      }
      try loop.add(control, .readable) { [self] _ in
        receive()
        sendWaiting()
      }
    } catch {
      closeAll()
      throw error
    }
  }

  /// Starts a container in a free `slot` (0...127; free again after `onExited` or `onStartFailed`) with these standard
  /// streams, and /dev/null where `input` is -1; with a terminal only a socket as `output`, as `startExec` has it. They
  /// are taken over, also when it fails. `target`: the slot of a container that runs, whose processes it sees and is
  /// seen by; it ends with that one's first process where those are a namespace of their own.
  package func startContainer(
    slot: Int, _ plan: ContainerPlan, output: Int32, errors: Int32, input: Int32 = -1,
    amongProcessesOf target: Int? = nil
  ) throws(IOError) {
    let streams = [output, errors, input].filter { $0 >= 0 }
    let bytes: [UInt8]
    do throws(IOError) {
      guard control >= 0 else { throw IOError(code: ESRCH, operation: "start container", subject: "the pod is gone") }
      bytes = try plan.encoded(mountingProc: mountsProc)
    } catch {
      for descriptor in streams { close(descriptor) }
      throw error
    }
    send(STINT_START, bytes, slot: slot, extra: Int32((target ?? -1) + 1), streams)
  }

  private func send(
    _ type: stint_message_type, _ plan: [UInt8], slot: Int, extra: Int32 = 0, _ streams: [Int32]
  ) {
    let limit = Int(STINT_PART_LIMIT)
    var rest = plan[...]
    send(type, slot: slot, value: Int32(plan.count), extra: extra, payload: rest.prefix(limit), streams)
    rest = rest.dropFirst(limit)
    while !rest.isEmpty {
      send(STINT_PART, slot: slot, payload: rest.prefix(limit))
      rest = rest.dropFirst(limit)
    }
  }

  /// Starts a process in the container of that slot, at a free `place` (0..<`execPlaces`; free again after the last
  /// word of it), with the container's own plan but its arguments, terminal and mounts. `streams`: its standard input,
  /// output and error, or, with a terminal, one socket (as `stint_message_socket` makes them) that the terminal's other
  /// end is sent on. They are taken over, also when it fails.
  package func startExec(place: Int, inContainer slot: Int, _ plan: ContainerPlan, streams: [Int32]) throws(IOError) {
    let bytes: [UInt8]
    do throws(IOError) {
      guard control >= 0 else { throw IOError(code: ESRCH, operation: "exec", subject: "the pod is gone") }
      bytes = try plan.encoded(mountingProc: false)
    } catch {
      for descriptor in streams { close(descriptor) }
      throw error
    }
    send(STINT_EXEC, bytes, slot: Self.firstExec + place, extra: Int32(slot), streams)
  }

  /// Kills such a process, and nothing else.
  package func killExec(place: Int) { send(STINT_KILL, slot: Self.firstExec + place) }

  /// Sends a signal to a container's main process.
  package func signal(slot: Int, _ signal: Int32) { send(STINT_SIGNAL, slot: slot, value: signal) }

  /// Kills every process of a container; `onExited` follows.
  package func killContainer(slot: Int) { send(STINT_KILL, slot: slot) }

  /// Kills the whole pod, also a frozen or stopped one; `onGone` follows.
  package func kill() {
    if initDescriptor >= 0 { _ = stint_pidfd_signal(initDescriptor, SIGKILL) }
    bubblewrap?.signal(SIGKILL)
  }

  /// Ends the pod once its containers are done (what still runs is killed); `onGone` follows.
  package func finish() {
    guard control >= 0 else { return }
    loop.remove(control)
    close(control)
    control = -1
  }

  /// Has the pod stand still: by its cgroup, else by SIGSTOP to every process but the init. `onFrozen` answers. A pod
  /// frozen by cgroup obeys no order but `kill` until `thaw`.
  package func freeze() {
    guard let cgroup else { return send(STINT_STOP_ALL) }
    do throws(IOError) {
      try cgroup.setFrozen(true)
      watchFreeze(cgroup)
    } catch {
      send(STINT_STOP_ALL)
    }
  }

  /// Undoes `freeze`, and what the init stopped by itself: move the deadline before.
  /// After SIGSTOP also processes that the pod itself had stopped go on.
  package func thaw() {
    if let cgroup {
      endFreezeWatch()
      try? cgroup.setFrozen(false)
    }
    thaws &+= 1
    send(STINT_CONTINUE_ALL)
  }

  /// Moves the time at which the init stops the pod by itself; as `PodDeadline.move`.
  package func moveDeadline(to nanoseconds: Int64) { deadline?.move(to: nanoseconds) }

  private func startBubblewrap(_ program: String, control: Int32, _ pod: Options) throws(IOError) {
    // By descriptor: the file behind our path may have been replaced by an upgrade.
    let executable = open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
    guard executable >= 0 else { throw IOError.last("open", "/proc/self/exe") }
    defer { close(executable) }
    var pipes: [Int32] = [-1, -1]
    guard pipe(&pipes) == 0 else { throw IOError.last("pipe") }
    defer { close(pipes[1]) }
    bubblewrapOutput = pipes[0]
    _ = fcntl(pipes[0], F_SETFL, O_NONBLOCK)
    _ = fcntl(pipes[0], F_SETFD, FD_CLOEXEC)
    _ = fcntl(pipes[1], F_SETFD, FD_CLOEXEC)
    let inner = STINT_POD_CONTROL
    var options = Child.Options(
      path: program,
      arguments: [
        "bwrap", "--unshare-user", "--unshare-pid", "--as-pid-1", "--die-with-parent", "--dev-bind", "/", "/", "--proc",
        "/proc", "--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_SYS_PTRACE",
        "--cap-add", "CAP_DAC_OVERRIDE", "--cap-add", "CAP_SYS_CHROOT", "--", "/proc/self/fd/5", "pod-init",
        "\(pod.deadline.index)",
        pod.marker?.name ?? PodMarker.plainName,
      ], environment: [])
    options.descriptors = [
      2: pipes[1], Int32(inner): control, 5: executable, Int32(STINT_POD_DEADLINES): pod.deadline.table.descriptor,
    ]
    if let marker = pod.marker { options.descriptors[Int32(STINT_POD_MARKER)] = marker.descriptor }
    let child = try Child(options)
    bubblewrap = child
    try child.watch(loop: loop) { [self] status in
      exit = status
      // Its init may have said hello just before: then the init's own end is the proof, else there never was one.
      if control >= 0 { receive() }
      checkGone()
    }
  }

  private func send(
    _ type: stint_message_type, slot: Int = 0, value: Int32 = 0, extra: Int32 = 0, payload: ArraySlice<UInt8> = [],
    _ pass: [Int32] = []
  ) {
    let header = stint_message(type: type.rawValue, slot: UInt32(truncatingIfNeeded: slot), value: value, extra: extra)
    waiting.append(Message(header: header, payload: payload, descriptors: pass))
    sendWaiting()
  }

  private func sendWaiting() {
    var sent = 0
    var isFull = false
    for message in waiting {
      if control >= 0 {
        var header = message.header
        var size = -1
        repeat {
          size = Int(
            message.payload.withUnsafeBytes {
              stint_message_send(
                control, &header, $0.baseAddress, $0.count, message.descriptors, Int32(message.descriptors.count))
            })
        } while size < 0 && errno == EINTR
        // The kernel is short of something; the order is not lost.
        if size < 0, [EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS].contains(errno) {
          isFull = true
          break
        }
        // A pod that misses an order would wait for ever: its end is reported instead.
        if size < 0 { kill() }
      }
      // Sent, or the pod is on its way out and its end is reported otherwise.
      for descriptor in message.descriptors { close(descriptor) }
      sent += 1
    }
    waiting.removeFirst(sent)
    guard control >= 0, isFull != waitsForRoom else { return }
    waitsForRoom = isFull
    try? loop.modify(control, isFull ? [.readable, .writable] : .readable)
  }

  private func receive() {
    while control >= 0 {
      var header = stint_message()
      var passed = [Int32](repeating: -1, count: Int(STINT_STREAMS))
      let size = receiveBuffer.withUnsafeMutableBytes {
        stint_message_receive(control, &header, $0.baseAddress, $0.count, &passed)
      }
      if size < 0 {
        if errno == EAGAIN || errno == EINTR { return }
        // The init closed its end: it is dying, and its pidfd will tell.
        return finish()
      }
      handle(header, detail: receiveBuffer.prefix(size), passed)
    }
  }

  private func handle(_ message: stint_message, detail: ArraySlice<UInt8>, _ passed: [Int32]) {
    let slot = Int(message.slot)
    switch message.type {
    case STINT_HELLO.rawValue: meetInit(passed[0])
    case STINT_STARTED.rawValue where slot >= Self.firstExec: onExec?(slot - Self.firstExec, .started)
    case STINT_EXITED.rawValue where slot >= Self.firstExec:
      onExec?(slot - Self.firstExec, .exited(ProcessExit(waitStatus: message.value)))
    case STINT_STARTED.rawValue: onStarted?(slot, message.value)
    case STINT_EXITED.rawValue: onExited?(slot, ProcessExit(waitStatus: message.value))
    case STINT_FAILED.rawValue:
      let stages = [
        "?", "plan", "clone", "mount", "workingDir", "user", "streams", "exec", "interpreter", "join", "terminal",
        "cgroup", "users",
      ]
      let stage = stages.indices.contains(Int(message.extra)) ? stages[Int(message.extra)] : "?"
      let subject = String(decoding: detail, as: UTF8.self)
      let failure = StartFailure(
        stage: stage, error: IOError(code: message.value, operation: stage, subject: subject))
      if slot >= Self.firstExec {
        onExec?(slot - Self.firstExec, .failed(failure))
      } else {
        onStartFailed?(slot, failure)
      }
    // Said before it heard of the last thaw: it runs, or says again that it does not.
    case STINT_STOPPED.rawValue where message.extra != thaws: break
    case STINT_STOPPED.rawValue: onFrozen?(message.value == 0)
    default: break
    }
  }

  private func meetInit(_ descriptor: Int32) {
    guard descriptor >= 0, initDescriptor < 0 else { return }
    initDescriptor = descriptor
    try? loop.add(descriptor, .readable) { [self] _ in initEnded() }
  }

  private func initEnded() {
    // Its last reports are still in the socket.
    receive()
    var status: Int32 = 0
    if bubblewrap == nil {
      guard stint_pidfd_reap(initDescriptor, &status) == 1 else { return }
      exit = ProcessExit(waitStatus: status)
    }
    loop.remove(initDescriptor)
    close(initDescriptor)
    initDescriptor = -1
    checkGone()
  }

  private func checkGone() {
    guard let exit, initDescriptor < 0 else { return }
    var message = ""
    if bubblewrapOutput >= 0 {
      var bytes = [UInt8](repeating: 0, count: 4096)
      let size = read(bubblewrapOutput, &bytes, bytes.count)
      message = String(decoding: bytes.prefix(max(0, size)), as: UTF8.self)
    }
    closeAll()
    deadline = nil
    let handler = onGone
    onStarted = nil
    onExited = nil
    onStartFailed = nil
    onExec = nil
    onFrozen = nil
    onGone = nil
    handler?(Gone(exit: exit, message: message))
  }

  private func watchFreeze(_ cgroup: PodCgroup) {
    guard freezeWatch < 0 else { return }
    let descriptor = cgroup.openEvents()
    guard descriptor >= 0 else { return }
    freezeWatch = descriptor
    if cgroup.isFrozen {
      loop.atTurnEnd { [self] in frozen(cgroup) }
      loop.requestTurn()
    } else {
      try? loop.add(descriptor, .priority) { [self] _ in
        if cgroup.isFrozen { frozen(cgroup) }
      }
    }
  }

  private func frozen(_ cgroup: PodCgroup) {
    guard freezeWatch >= 0 else { return }
    endFreezeWatch()
    onFrozen?(true)
  }

  private func endFreezeWatch() {
    guard freezeWatch >= 0 else { return }
    loop.remove(freezeWatch)
    close(freezeWatch)
    freezeWatch = -1
  }

  private func closeAll() {
    finish()
    sendWaiting()
    endFreezeWatch()
    if initDescriptor >= 0 {
      loop.remove(initDescriptor)
      close(initDescriptor)
      initDescriptor = -1
    }
    if bubblewrapOutput >= 0 { close(bubblewrapOutput) }
    bubblewrapOutput = -1
    bubblewrap = nil
  }
}
