// Owns: telling processes apart beyond pid reuse, and a successor keeper's proof that its predecessor's pods are dead
// (rule K4). It must not know what the pods were.

import CLinux
import Glibc

/// A process, told apart from a later one with the same id.
package struct ProcessIdentity: Equatable, Hashable, Sendable {
  /// Its id in our PID namespace.
  package let pid: Int32
  /// When it started: clock ticks since boot, as /proc counts.
  package let startTime: UInt64

  /// An identity from a record.
  package init(pid: Int32, startTime: UInt64) {
    self.pid = pid
    self.startTime = startTime
  }

  /// The process that has this id now; nil when there is none, or only a zombie's remains.
  package static func read(pid: Int32) -> ProcessIdentity? {
    guard let text = try? Files.readLine("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
    // After the command's name: state is field 3, starttime field 22 (proc(5)).
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 19, fields[0] != "Z", fields[0] != "X", let start = UInt64(fields[19]) else { return nil }
    return ProcessIdentity(pid: pid, startTime: start)
  }

  /// The process of a pidfd.
  static func read(descriptor: Int32) -> ProcessIdentity? {
    guard let text = try? Files.readLine("/proc/self/fdinfo/\(descriptor)") else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("Pid:") {
      guard let pid = Int32(line.dropFirst(4).filter { $0 != "\t" && $0 != " " }), pid > 0 else { return nil }
      return read(pid: pid)
    }
    return nil
  }

  /// Whether this very process still runs.
  package var isAlive: Bool { ProcessIdentity.read(pid: pid) == self }
}

/// Finding and ending what a former keeper of a data directory left behind.
package enum PodSweep {
  /// The pod inits started with `directory` as their marker.
  package static func inits(of directory: String) throws(IOError) -> [ProcessIdentity] {
    let wanted = try Files.status(directory)
    return try candidates().filter { marker(of: $0) == .directory(wanted.device, wanted.inode) }
  }

  /// Kills those and waits until all are dead with everything in their namespaces; the ones it killed. Throws ETIMEDOUT
  /// when one is not dead after `timeoutMilliseconds`: then nothing is proven.
  package static func run(directory: String, timeoutMilliseconds: Int32) throws(IOError) -> [ProcessIdentity] {
    let wanted = try Files.status(directory)
    let deadline = Clocks.boot() + Int64(timeoutMilliseconds) * 1_000_000
    var killed: [ProcessIdentity] = []
    while true {
      var pending = false
      for candidate in try candidates() {
        switch marker(of: candidate) {
        case .directory(let device, let inode):
          guard device == wanted.device, inode == wanted.inode else { continue }
          if end(candidate, before: deadline), !killed.contains(candidate) { killed.append(candidate) }
          pending = true
        case .hidden: pending = pending || candidate.isAlive
        case .unmarked: continue
        }
      }
      // Only a look that finds none is the proof: another may have been in its first microseconds.
      if !pending { return killed }
      guard Clocks.boot() < deadline else {
        throw IOError(
          operation: "sweep", subject: directory, message: "a pod of a former keeper is not dead yet", code: ETIMEDOUT)
      }
      poll(nil, 0, 2)
    }
  }

  private enum Marker: Equatable {
    case directory(UInt64, UInt64)
    /// A keeper without a data directory started it.
    case unmarked
    /// An init on its way out has no descriptors any more but waits for its namespace to die: not dead yet.
    case hidden
  }

  /// Our user's processes (as root: everybody's) that are named as a pod init.
  private static func candidates() throws(IOError) -> [ProcessIdentity] {
    var found: [ProcessIdentity] = []
    for name in try Files.list("/proc") {
      guard let pid = Int32(name), (try? Files.readLine("/proc/\(name)/comm")) == "stint-pod",
        let status = try? Files.status("/proc/\(name)"), geteuid() == 0 || status.userID == geteuid(),
        let identity = ProcessIdentity.read(pid: pid)
      else { continue }
      found.append(identity)
    }
    return found
  }

  private static func marker(of process: ProcessIdentity) -> Marker {
    let descriptors = "/proc/\(process.pid)/fd"
    if let status = try? Files.status("\(descriptors)/\(STINT_POD_MARKER)") {
      return .directory(status.device, status.inode)
    }
    // An init takes its name only once its descriptors are in place: one with a control socket never had a marker.
    return Files.exists("\(descriptors)/\(STINT_POD_CONTROL)") ? .unmarked : .hidden
  }

  /// Kills it by pidfd, checked to be that process, and waits for its end.
  private static func end(_ process: ProcessIdentity, before deadline: Int64) -> Bool {
    let descriptor = stint_pidfd_open(process.pid)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    guard process.isAlive else { return false }
    _ = stint_pidfd_signal(descriptor, SIGKILL)
    var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let milliseconds = max(0, (deadline - Clocks.boot()) / 1_000_000)
    return poll(&watched, 1, Int32(milliseconds)) == 1
  }
}
