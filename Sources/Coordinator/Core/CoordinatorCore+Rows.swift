// Objects to rows of the store and back. A pod's row names its spec by digest; the spec's text is a row of its own,
// shared.

import ClusterProto

extension CoordinatorCore {
  static func rowKey(_ reference: ObjectReference) -> String {
    "\(reference.kind.rawValue)/\(reference.key.namespace)/\(reference.key.name)"
  }

  /// The write that makes the store hold what memory holds for this object.
  func row(of reference: ObjectReference) -> StoreWrite {
    let key = Self.rowKey(reference)
    guard let object = state[reference] else { return StoreWrite(table: .objects, key: key, value: nil) }
    let json = Self.rowJSON(object, created: state.created(reference) ?? 0)
    return StoreWrite(table: .objects, key: key, value: Array(json.text.utf8))
  }

  private static func rowJSON(_ object: APIObject, created: Int64) -> JSON {
    var json: JSON
    if case .pod(let pod) = object {
      json = ["metadata": pod.meta.json, "spec": .string(pod.spec.digest), "status": pod.status.json]
      if let node = pod.nodeName { json["nodeName"] = .string(node) }
      if let hostname = pod.hostname { json["hostname"] = .string(hostname) }
    } else {
      json = object.json
    }
    // RFC 3339 seconds are what the API shows, but order within a second must survive a restart.
    json["createdNanoseconds"] = .int(object.meta.creationTimestamp.nanoseconds)
    json["createdVersion"] = .int(created)
    return json
  }

  mutating func restore(_ rows: [StoreRow]) throws(CoordinatorStartError) {
    let clock = rows.first { $0.table == .facts && $0.key == Self.clockFact }
    restoreClock(try clock.map { row throws(CoordinatorStartError) in try parse(row) })
    var specs: [String: PodSpec] = [:]
    for row in rows where row.table == .podspecs {
      let spec = PodSpec(json: try parse(row))
      guard spec.digest == row.key else {
        throw CoordinatorStartError(
          message: "the store's row podspecs/\(row.key) holds another spec (\(spec.digest)); restore a backup")
      }
      specs[row.key] = spec
      weights.note(spec: row.key, bytes: row.value.count)
    }
    state.reserve(pods: rows.count { $0.table == .objects && $0.key.hasPrefix(Kind.pods.rawValue) })
    for row in rows {
      switch row.table {
      case .podspecs: break
      case .facts: try restoreFact(row)
      case .objects: try restoreObject(row, specs: specs)
      case .attempts, .noderecords: try restoreFleet(row.table, key: row.key, value: parse(row))
      case .jobrecords: try restoreJobRecord(key: row.key, value: parse(row))
      }
    }
  }

  private func parse(_ row: StoreRow) throws(CoordinatorStartError) -> JSON {
    do {
      return try JSON(parsing: row.value, limits: .stored)
    } catch {
      throw CoordinatorStartError(
        message: "the store's row \(row.table.rawValue)/\(row.key) is not JSON (\(error.message)); restore a backup")
    }
  }

  private mutating func restoreFact(_ row: StoreRow) throws(CoordinatorStartError) {
    let value = try parse(row)
    switch row.key {
    case "incarnation": incarnation = value.intValue ?? 0
    case StartHistory.fact: starts = StartHistory(json: value)
    case "resourceVersion":
      reservedVersion = value.intValue ?? 0
      state.resourceVersion = max(state.resourceVersion, reservedVersion)
    case let key where key.hasPrefix("deleted."):
      guard let kind = Kind(rawValue: String(key.dropFirst("deleted.".count))) else { break }
      state.deletions[kind] = value.intValue
    default: try restoreFleet(.facts, key: row.key, value: value)
    }
  }

  private mutating func restoreObject(_ row: StoreRow, specs: [String: PodSpec]) throws(CoordinatorStartError) {
    var json = try parse(row)
    let plural = row.key.prefix { $0 != "/" }
    guard let kind = Kind(rawValue: String(plural)) else {
      throw CoordinatorStartError(
        message: "the store holds \(row.key), which this version does not know: a newer stint wrote it. Run that "
          + "version again, or move the directory away and restore a backup made before the upgrade (stint restore "
          + "FILE --data DIR)")
    }
    let created = json["createdNanoseconds"]?.intValue
    let createdVersion = json["createdVersion"]?.intValue
    json["createdNanoseconds"] = nil
    json["createdVersion"] = nil
    var object: APIObject
    if kind == .pods {
      guard let digest = json["spec"]?.stringValue, let spec = specs[digest] else {
        throw CoordinatorStartError(
          message: "the store's row \(row.key) names a pod spec that is not there; restore a backup")
      }
      object = .pod(
        state.sharing(
          Pod(
            meta: ObjectMeta(json: json["metadata"]), spec: spec, nodeName: json["nodeName"]?.stringValue,
            hostname: json["hostname"]?.stringValue, status: PodStatus(json: json["status"]))))
    } else {
      object = APIObject(kind: kind, json: json)
    }
    if let created { object.meta.creationTimestamp = WallTime(nanoseconds: created) }
    shareFieldSets(&object)
    state.resourceVersion = max(state.resourceVersion, object.meta.resourceVersion)
    _ = state.replace(nil, with: object, created: createdVersion)
    weights.note(object.reference, bytes: row.value.count)
    let change = ObjectChange(before: nil, after: object)
    workloadsObserve(change)
    storageObserve(change)
    fleetObserve(change)
    accessObserve(change)
  }
}
