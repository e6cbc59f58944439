// Owns: child processes by posix_spawn, watched by pidfd. Pods are not started here but by the C shim (PodProcess).
// It must not know what the children do.

import CLinux
import Glibc

/// How a process ended.
package enum ProcessExit: Equatable, Sendable, CustomStringConvertible {
  /// It exited with this code, 0...255.
  case exited(code: Int32)
  /// A signal ended it.
  case signaled(signal: Int32)

  /// Reads a status as `waitpid` gives it.
  package init(waitStatus: Int32) {
    self = waitStatus & 0x7f == 0 ? .exited(code: waitStatus >> 8 & 0xff) : .signaled(signal: waitStatus & 0x7f)
  }

  /// The code a shell shows: the exit code, or 128 + the signal.
  package var shellCode: Int32 {
    switch self {
    case .exited(let code): code
    case .signaled(let signal): 128 + signal
    }
  }

  /// The status in words.
  package var description: String {
    switch self {
    case .exited(let code): "exit code \(code)"
    case .signaled(let signal): "signal \(signal)"
    }
  }
}

/// A child process of this one. While it is watched the loop keeps it alive.
package final class Child {
  /// What to start and how.
  package struct Options {
    /// The program's path; not searched for.
    package var path: String
    /// All arguments, the program's name first.
    package var arguments: [String]
    /// The whole environment, `NAME=value` each.
    package var environment: [String]
    /// Descriptors of the child by number; every other one of ours is closed in it. 0, 1, 2 are /dev/null by default.
    package var descriptors: [Int32: Int32] = [:]
    /// Whether it leads a session of its own, away from our terminal's signals.
    package var newSession = true
    /// Its working directory; ours when nil.
    package var directory: String?

    /// Options with nothing but a command.
    package init(path: String, arguments: [String], environment: [String]) {
      self.path = path
      self.arguments = arguments
      self.environment = environment
    }
  }

  /// Its process id.
  package let pid: pid_t
  /// How it ended; nil while it runs or was not reaped.
  package private(set) var status: ProcessExit?
  /// Readable once it has ended; for `poll`.
  package let descriptor: Int32

  /// Starts it. Fails as exec would: ENOENT, EACCES.
  package init(_ options: Options) throws(IOError) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, stint_spawn_flags(options.newSession ? 1 : 0))

    // Sources are first moved above every target: a plain row of dup2 could overwrite a source still needed.
    let highest = max(2, options.descriptors.keys.max() ?? 2)
    var moved: [Int32] = []
    defer { for descriptor in moved { close(descriptor) } }
    for target in 0...2 where options.descriptors[Int32(target)] == nil {
      posix_spawn_file_actions_addopen(&actions, Int32(target), "/dev/null", O_RDWR, 0)
    }
    for (target, source) in options.descriptors.sorted(by: { $0.key < $1.key }) {
      let high = fcntl(source, F_DUPFD_CLOEXEC, highest + 1)
      guard high >= 0 else { throw IOError.last("dup", options.path) }
      moved.append(high)
      posix_spawn_file_actions_adddup2(&actions, high, target)
    }
    if let directory = options.directory { stint_spawn_add_chdir(&actions, directory) }

    var arguments = options.arguments.map { strdup($0) } + [nil]
    var environment = options.environment.map { strdup($0) } + [nil]
    defer { for pointer in arguments + environment { free(pointer) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, options.path, &actions, &attributes, &arguments, &environment)
    guard code == 0 else { throw IOError(code: code, operation: "start", subject: options.path) }
    self.pid = pid
    descriptor = stint_pidfd_open(pid)
    guard descriptor >= 0 else {
      // Without a pidfd nobody could hear of its end: it must not run on unseen.
      let error = IOError.last("pidfd_open", options.path)
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw error
    }
  }

  deinit { close(descriptor) }

  /// Reports its end to `handler`, once, on the loop's thread.
  package func watch(loop: EventLoop, _ handler: @escaping (ProcessExit) -> Void) throws(IOError) {
    try loop.add(descriptor, .readable) { [self] _ in
      guard let status = reap() else { return }
      loop.remove(descriptor)
      handler(status)
    }
  }

  /// Sends a signal; one to a process that has ended does nothing.
  package func signal(_ signal: Int32) { _ = stint_pidfd_signal(descriptor, signal) }

  /// How it ended, if it has; never waits.
  package func reap() -> ProcessExit? {
    if status != nil { return status }
    var raw: Int32 = 0
    if stint_pidfd_reap(descriptor, &raw) == 1 { status = ProcessExit(waitStatus: raw) }
    return status
  }
}
