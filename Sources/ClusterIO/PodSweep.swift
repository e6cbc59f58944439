// Owns: telling processes apart beyond pid reuse, and a successor keeper's proof that its predecessor's pods are dead
// (rule K4). It must not know what the pods were.
// What it takes for a pod init is what only a keeper can have made: see `candidates`.

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
    guard let fields = fields(pid: pid), fields.count > 19, fields[0] != "Z", fields[0] != "X",
      let start = UInt64(fields[19])
    else { return nil }
    return ProcessIdentity(pid: pid, startTime: start)
  }

  /// What follows the command's name in /proc/PID/stat: state is field 3, flags field 9, starttime field 22 (proc(5)).
  static func fields(pid: Int32) -> [Substring]? {
    guard let text = try? Files.readLine("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
    return text[text.index(after: end)...].split(separator: " ")
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

  /// The number of this process' PID namespace: ids mean processes only within one.
  package static func namespace() throws(IOError) -> String { String(try Files.status("/proc/self/ns/pid").inode) }

  /// Whether this very process still runs.
  package var isAlive: Bool { ProcessIdentity.read(pid: pid) == self }
}

/// Finding and ending what a former keeper of a data directory left behind.
package enum PodSweep {
  /// The pod inits of a keeper of `user` that have `directory` as their marker.
  package static func inits(of directory: String, user: UInt32 = geteuid()) throws(IOError) -> [ProcessIdentity] {
    let wanted = try Files.status(directory)
    return try candidates(of: user).filter { marker(of: $0) == .directory(wanted.device, wanted.inode) }
  }

  /// Kills those of our user and waits until all are dead with everything in their namespaces; the ones it killed.
  /// Throws ETIMEDOUT when one is not dead after `timeoutMilliseconds`: then nothing is proven.
  package static func run(directory: String, timeoutMilliseconds: Int32) throws(IOError) -> [ProcessIdentity] {
    let wanted = try Files.status(directory)
    let deadline = Clocks.boot() + Int64(timeoutMilliseconds) * 1_000_000
    var killed: [ProcessIdentity] = []
    while true {
      var pending = false
      for candidate in try candidates(of: geteuid()) {
        switch marker(of: candidate) {
        case .directory(let device, let inode):
          guard device == wanted.device, inode == wanted.inode else { continue }
          if end(candidate, before: deadline), !killed.contains(candidate) { killed.append(candidate) }
          pending = true
        case .hidden: pending = pending || candidate.isAlive
        case nil: continue
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
    /// An init on its way out has no descriptors any more but waits for its namespace to die: not dead yet.
    case hidden
  }

  /// Processes that only a keeper of `user` can have started. The name alone, which an init takes once its descriptors
  /// are in place, is anybody's. But the first process of a PID namespace below ours, with `user` in all of its ids,
  /// cannot be made by another user: such a namespace needs root, or a user namespace, and in one its maker keeps his
  /// ids, set-uid programs or not.
  private static func candidates(of user: UInt32) throws(IOError) -> [ProcessIdentity] {
    var found: [ProcessIdentity] = []
    for name in try Files.list("/proc") {
      guard let pid = Int32(name), (try? Files.readLine("/proc/\(name)/comm")) == "stint-pod",
        let identity = ProcessIdentity.read(pid: pid), isNamespaceInit(pid, of: user)
      else { continue }
      found.append(identity)
    }
    return found
  }

  private static func isNamespaceInit(_ pid: Int32, of user: UInt32) -> Bool {
    guard let status = try? Files.readLine("/proc/\(pid)/status") else { return false }
    let own = String(user)
    var isOurs = false
    var isFirst = false
    for line in status.split(separator: "\n") {
      if line.hasPrefix("Uid:") {
        // Real, effective, saved, of the file system: a set-uid program that somebody else started has his real id.
        let ids = line.dropFirst(4).split(whereSeparator: \.isWhitespace)
        isOurs = ids.count == 4 && ids.allSatisfy { $0 == own }
      } else if line.hasPrefix("NSpid:") {
        // Its ids from our namespace inwards.
        let ids = line.dropFirst(6).split(whereSeparator: \.isWhitespace)
        isFirst = ids.count > 1 && ids.last == "1"
      }
    }
    return isOurs && isFirst
  }

  /// nil: no keeper with a data directory started it.
  private static func marker(of process: ProcessIdentity) -> Marker? {
    let path = "/proc/\(process.pid)/fd/\(STINT_POD_MARKER)"
    do throws(IOError) {
      let status = try Files.status(path)
      return .directory(status.device, status.inode)
    } catch {
      // Without a marker it never had one, unless it has begun to exit, which comes before its descriptors close.
      return error.code == ENOENT && !isExiting(process) ? nil : .hidden
    }
  }

  private static func isExiting(_ process: ProcessIdentity) -> Bool {
    guard let fields = ProcessIdentity.fields(pid: process.pid), fields.count > 6, let flags = UInt64(fields[6]) else {
      return true
    }
    return flags & 0x4 != 0
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
