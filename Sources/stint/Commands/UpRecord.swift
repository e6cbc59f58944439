// Owns: what an `up` that runs leaves in its data directory for others to find it by, and which process that is. It
// must not start or end anything.

import ClusterIO
import ClusterProto
import Glibc

/// `DATA/up.json`: written once the cluster is up, removed at its end.
struct UpRecord: Equatable {
  var process: ProcessIdentity
  /// Ids mean processes only within one namespace, and start times only within one boot.
  var place: String
  var server: String
  var nodes: [String]
  /// By `--detach`.
  var isDetached: Bool

  static func file(_ data: String) -> String { "\(data)/up.json" }
  static func lock(_ data: String) -> String { "\(data)/up.lock" }
  static func log(_ data: String) -> String { "\(data)/logs/up.log" }

  /// The boot and the PID namespace of this process.
  static func here() throws(IOError) -> String {
    "\(try Files.readLine("/proc/sys/kernel/random/boot_id")) \(try ProcessIdentity.namespace())"
  }

  /// Of this process.
  static func own(server: String, nodes: [String], isDetached: Bool) throws(IOError) -> UpRecord {
    guard let process = ProcessIdentity.read(pid: getpid()) else {
      throw IOError(code: ESRCH, operation: "read", subject: "/proc/self/stat")
    }
    return UpRecord(process: process, place: try here(), server: server, nodes: nodes, isDetached: isDetached)
  }

  var json: JSON {
    [
      "pid": .int(Int64(process.pid)), "startTime": .string("\(process.startTime)"), "place": .string(place),
      "server": .string(server), "nodes": .strings(nodes), "detached": .bool(isDetached),
    ]
  }

  init(process: ProcessIdentity, place: String, server: String, nodes: [String], isDetached: Bool) {
    self.process = process
    self.place = place
    self.server = server
    self.nodes = nodes
    self.isDetached = isDetached
  }

  /// nil: it is none.
  init?(json: JSON) {
    guard let pid = json["pid"]?.intValue.flatMap({ Int32(exactly: $0) }), pid > 0,
      let start = json["startTime"]?.stringValue.flatMap({ UInt64($0) }), let place = json["place"]?.stringValue
    else { return nil }
    self.init(
      process: ProcessIdentity(pid: pid, startTime: start), place: place,
      server: json["server"]?.stringValue ?? "", nodes: (json["nodes"]?.arrayValue ?? []).compactMap(\.stringValue),
      isDetached: json["detached"]?.boolValue ?? false)
  }

  /// What is there; nil: nothing, or nothing that can be read.
  static func found(_ data: String) -> UpRecord? {
    guard let bytes = try? Files.read(file(data), limit: 64 << 10), let json = try? JSON(parsing: bytes) else {
      return nil
    }
    return UpRecord(json: json)
  }

  func write(_ data: String) throws(IOError) {
    try Files.writeAtomically(UpRecord.file(data), Array("\(json.text)\n".utf8))
  }
}

/// Whether an `up` runs on a data directory, and which process it is.
enum UpState: Equatable {
  case none
  /// It holds the lock; `record` is nil while it starts or ends.
  case running(ProcessIdentity, record: UpRecord?)
  /// Somebody holds the lock, and it cannot be told which process that is, in words.
  case unknown(String)

  /// The lock says whether one runs; its content, the record and /proc have to agree on which process.
  static func of(_ data: String) -> UpState {
    let lock = UpRecord.lock(data)
    do throws(IOError) {
      _ = try Files.status(lock)
    } catch {
      // Who may not look there is told so, and not that nothing runs.
      return [ENOENT, ENOTDIR].contains(error.code) ? .none : .unknown("\(error)")
    }
    guard FileLock.isHeld(lock) else { return .none }
    guard let pid = AgentStop.holder(of: lock) else {
      return .unknown("\(lock) is held, and does not say by which process")
    }
    guard let process = ProcessIdentity.read(pid: pid) else {
      return .unknown("\(lock) names process \(pid), which is none here: it runs in another container, perhaps")
    }
    guard let record = UpRecord.found(data) else { return .running(process, record: nil) }
    if let here = try? UpRecord.here(), here != record.place {
      return .unknown(
        "the process that holds \(lock) runs in another container or namespace, as process \(pid) of that")
    }
    // One that was killed left it, and another one starts.
    guard record.process == process else { return .running(process, record: nil) }
    return .running(process, record: record)
  }
}
