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

/// What tells the pod inits of one data directory from all others.
package struct PodMarker: Sendable {
  /// The name of an init whose keeper has no data directory.
  package static let plainName = "stint-pod"

  /// A descriptor of the directory, which each init holds; it stays open.
  package let descriptor: Int32
  /// The init's own name. An init that is on its way out has no descriptors, memory and files any more, and waits for
  /// its namespace's last process, which a dead disk may hold up for ever; its name is still there.
  package let name: String

  /// Opens the directory.
  package init(directory: String) throws(IOError) {
    let status = try Files.status(directory)
    descriptor = stint_open_directory(directory)
    guard descriptor >= 0 else { throw IOError.last("open", directory) }
    name = Self.name(device: status.device, inode: status.inode)
  }

  /// The same for the same directory. Two may share it (one in 30 million pairs): then a sweep of the one waits for
  /// exiting inits of the other too.
  static func name(device: UInt64, inode: UInt64) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for word in [device, inode] {
      for shift in stride(from: UInt64(0), to: 64, by: 8) { hash = (hash ^ (word >> shift & 0xff)) &* 0x100_0000_01b3 }
    }
    let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567")
    // The kernel keeps 15 bytes.
    let tag = (0..<5).map { alphabet[Int(hash >> (UInt64($0) * 5 + 24) & 31)] }
    return "\(plainName)-\(String(tag))"
  }
}

/// Finding and ending what a former keeper of a data directory left behind.
package enum PodSweep {
  /// What a sweep came to.
  package struct Outcome: Equatable, Sendable {
    /// Inits that it killed and that are dead with everything in their namespaces.
    package var killed: [ProcessIdentity]
    /// Inits that may be this directory's and are not dead yet. Empty: the proof.
    package var living: [ProcessIdentity]

    /// As given.
    package init(killed: [ProcessIdentity] = [], living: [ProcessIdentity] = []) {
      self.killed = killed
      self.living = living
    }
  }

  private static let longestPause: Int32 = 500

  /// The pod inits of a keeper of `user` that have `directory` as their marker.
  package static func inits(of directory: String, user: UInt32 = geteuid()) throws(IOError) -> [ProcessIdentity] {
    let wanted = try Files.status(directory)
    return try candidates(of: user).map(\.process).filter {
      marker(of: $0) == .directory(wanted.device, wanted.inode)
    }
  }

  /// Kills those of our user and waits until all are dead with everything in their namespaces, but not for longer than
  /// `timeoutMilliseconds`. Whose descriptors are gone already is waited for if its name is this directory's, or names
  /// none. The last former keeper is dead (its lock is ours): later looks find no others than the first ones.
  package static func run(directory: String, timeoutMilliseconds: Int32) throws(IOError) -> Outcome {
    let wanted = try Files.status(directory)
    let names = [PodMarker.plainName, PodMarker.name(device: wanted.device, inode: wanted.inode)]
    let deadline = Clocks.boot() + Int64(timeoutMilliseconds) * 1_000_000
    var signalled: [ProcessIdentity] = []
    var pause: Int32 = 2
    while true {
      var living: [ProcessIdentity] = []
      for (process, name) in try candidates(of: geteuid()) {
        switch marker(of: process) {
        case .directory(let device, let inode):
          guard device == wanted.device, inode == wanted.inode else { continue }
          if kill(process), !signalled.contains(process) { signalled.append(process) }
          living.append(process)
        case .hidden: if names.contains(name), process.isAlive { living.append(process) }
        case nil: continue
        }
      }
      // Only a look that finds none is the proof: another may have been in its first microseconds.
      let left = (deadline - Clocks.boot()) / 1_000_000
      if living.isEmpty || left <= 0 {
        return Outcome(killed: signalled.filter { !living.contains($0) }, living: living)
      }
      wait(for: living, milliseconds: min(pause, Int32(clamping: left)))
      pause = min(pause * 2, longestPause)
    }
  }

  /// Waits until one of them is dead, or that time is over.
  package static func wait(for processes: [ProcessIdentity], milliseconds: Int32) {
    var watched: [pollfd] = []
    defer { for entry in watched { close(entry.fd) } }
    for process in processes {
      let descriptor = stint_pidfd_open(process.pid)
      // Gone, or another one by now: there is something to see.
      if descriptor < 0, errno == ESRCH { return }
      guard descriptor >= 0 else { continue }
      watched.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
      guard process.isAlive else { return }
    }
    poll(&watched, nfds_t(watched.count), milliseconds)
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
  private static func candidates(of user: UInt32) throws(IOError) -> [(process: ProcessIdentity, name: String)] {
    var found: [(process: ProcessIdentity, name: String)] = []
    for entry in try Files.list("/proc") {
      guard let pid = Int32(entry), let name = try? Files.readLine("/proc/\(entry)/comm"),
        name.hasPrefix(PodMarker.plainName), let identity = ProcessIdentity.read(pid: pid),
        isNamespaceInit(pid, of: user)
      else { continue }
      found.append((identity, name))
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

  /// Kills it by pidfd, checked to be that process; whether it was there.
  private static func kill(_ process: ProcessIdentity) -> Bool {
    let descriptor = stint_pidfd_open(process.pid)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    guard process.isAlive else { return false }
    _ = stint_pidfd_signal(descriptor, SIGKILL)
    return true
  }
}
