// The keeper's journal on disk: what its successor must know. A line of JSON a record. Written, not synced: it has to outlive
// the keeper, not the kernel; after a reboot nothing that it names can be alive.

import AgentCore
import ClusterIO
import ClusterProto

final class KeeperJournal {
  private let path: String
  private var file: AppendFile

  /// Opens the journal for appending.
  init(path: String) throws(IOError) {
    self.path = path
    file = try AppendFile(path: path)
  }

  func append(_ records: [KeeperRecord]) throws(IOError) {
    try file.append(Self.lines(records))
  }

  /// Replaces the whole journal.
  func rewrite(_ records: [KeeperRecord]) throws(IOError) {
    try Files.writeAtomically(path, Self.lines(records))
    file.close()
    file = try AppendFile(path: path)
  }

  /// The records of an earlier keeper; a line that is torn or not understood ends them.
  static func read(path: String) -> [KeeperRecord] {
    guard let bytes = try? Files.read(path) else { return [] }
    var records: [KeeperRecord] = []
    for line in bytes.split(separator: 10) {
      guard let json = try? JSON(parsing: Array(line)), let record = try? KeeperRecord(json: json) else { break }
      records.append(record)
    }
    return records
  }

  private static func lines(_ records: [KeeperRecord]) -> [UInt8] {
    var bytes: [UInt8] = []
    for record in records {
      record.json.write(into: &bytes)
      bytes.append(10)
    }
    return bytes
  }
}

extension KeeperRecord {
  var json: JSON {
    switch self {
    case .started(let attempt): ["started": .int(attempt)]
    case .ended(let report): ["ended": report.json]
    case .acknowledged(let attempts): ["acknowledged": .array(attempts.map { .int($0) })]
    }
  }

  init(json: JSON) throws(MessageError) {
    if let attempt = json["started"]?.intValue {
      self = .started(attempt)
    } else if let report = json["ended"] {
      self = .ended(try AttemptReport(json: report, "report"))
    } else if let attempts = json["acknowledged"]?.arrayValue {
      self = .acknowledged(attempts.compactMap(\.intValue))
    } else {
      throw MessageError("not a journal record")
    }
  }
}
