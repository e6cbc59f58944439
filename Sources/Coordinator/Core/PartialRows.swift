// Owns: what a store that has lost rows needs before a coordinator may go on with it (--accept-loss): nothing in it
// names what is gone, and the next start opens an epoch as after a restore (C4). It must not know why rows are gone.

import ClusterProto

extension CoordinatorCore {
  /// Makes rows of which others are lost a store that can be started on; what went too, in words.
  package static func completePartial(_ rows: inout [StoreRow]) -> [String] {
    let specs = Set(rows.lazy.filter { $0.table == .podspecs }.map(\.key))
    let attempted = Set(
      rows.lazy.filter { $0.table == .attempts }
        .compactMap { (try? JSON(parsing: $0.value, limits: .stored))?["pod"]?.stringValue })
    var dropped: [String] = []
    rows.removeAll { row in
      guard row.table == .objects, row.key.hasPrefix("\(Kind.pods.rawValue)/"),
        let pod = try? JSON(parsing: row.value, limits: .stored)
      else { return false }
      let hasSpec = pod["spec"]?.stringValue.map(specs.contains) ?? false
      // One that no attempt stands for would never end: its node is told to stop it, and how it ends counts no more.
      let isEnded = ["Succeeded", "Failed"].contains(pod[path: ["status", "phase"]]?.stringValue ?? "")
      let isStanding =
        isEnded || pod["nodeName"] == nil
        || pod[path: ["metadata", "uid"]]?.stringValue.map(attempted.contains) ?? false
      guard !hasSpec || !isStanding else { return false }
      dropped.append(String(row.key.dropFirst(Kind.pods.rawValue.count + 1)))
      return true
    }
    if !rows.contains(where: { $0.table == .facts && $0.key == restoredFact }) {
      rows.append(StoreRow(table: .facts, key: restoredFact, value: JSON.object(JSONObject()).bytes))
    }
    guard !dropped.isEmpty else { return [] }
    let some = dropped.prefix(10).joined(separator: ", ")
    return [
      "pods whose spec or attempt is lost, which are replaced: \(some)\(dropped.count > 10 ? ", …" : "") "
        + "(\(dropped.count))"
    ]
  }
}
