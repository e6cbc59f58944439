// The fleet's rows: what a restart rebuilds, and what a turn writes. Sessions and leases are not here: agents come
// back, and R counts from the start with the persisted Lmax (C2).

import ClusterProto

extension CoordinatorCore {
  mutating func restoreFleet(_ table: StoreTable, key: String, value: JSON) throws(CoordinatorStartError) {
    switch table {
    case .facts:
      if key == "attempt" { fleet.lastAttempt = max(fleet.lastAttempt, value.intValue ?? 0) }
      if key == NumberProofs.fact { fleet.proofKey = value.stringValue ?? "" }
      if key == "lmax" { fleet.longestLease = max(fleet.longestLease, value.intValue ?? 0) }
      restoreEpoch(key, value)
      if key.hasPrefix(Self.userFact) { try restoreUser(key, value) } else { try restoreJoining(key, value) }
    case .attempts:
      guard let number = Int64(key), let attempt = Self.attempt(number: number, row: value) else {
        throw CoordinatorStartError(message: "the store's row attempts/\(key) is not an attempt; restore a backup")
      }
      fleet.attempts[number] = attempt
      fleet.lastAttempt = max(fleet.lastAttempt, number)
    case .noderecords:
      guard let holder = NodeHolder(row: value) else {
        throw CoordinatorStartError(
          message: "the store's row noderecords/\(key) is not a node record; restore a backup")
      }
      fleet.nodes[key] = newRecord(holder, fencesFully: value["fencesFully"]?.boolValue ?? false)
      fleet.nodes[key]?.isDeclaredDead = value["declaredDead"]?.boolValue ?? false
      fleet.nodes[key]?.longLease = max(0, value["longLease"]?.intValue ?? 0)
    case .objects, .podspecs, .jobrecords: break
    }
  }

  func newRecord(_ holder: NodeHolder, fencesFully: Bool) -> NodeRecord {
    NodeRecord(
      holder: holder, fencesFully: fencesFully, lastHeartbeat: now.boot, leaseReach: now.boot,
      conditionsWrittenAt: now.boot)
  }

  /// Links the rows and starts the clocks: every lease counts as just given, nobody is judged before twice a lease
  /// has passed.
  mutating func restoreFleetAfterRows() {
    let before = max(fleet.longestLease, configuration.leaseMilliseconds)
    fleet.lease = configuration.leaseMilliseconds
    fleet.persistedAttempt = fleet.lastAttempt
    for number in fleet.attempts.keys.sorted() {
      guard let attempt = fleet.attempts[number] else { continue }
      fleet.views[number] = AttemptView()
      if fleet.nodes[attempt.node] == nil {
        fleet.nodes[attempt.node] = newRecord(NodeHolder(keeper: attempt.keeper), fencesFully: false)
      }
      link(attempt)
      if fleet.nodes[attempt.node]?.isDeclaredDead == true { fleet.fences.add(number) }
    }
    for name in fleet.nodes.keys.sorted() {
      // Each node's own reach: what it can have heard.
      let longest = max(before, fleet.nodes[name]?.longLease ?? 0)
      fleet.nodes[name]?.leaseReach = now.boot + LeaseArithmetic.stretched(longest)
      fleet.timers.set(.monitor(name), at: now.boot + hearingMilliseconds)
    }
    armHold()
    let longest = fleet.nodes.values.map(\.longLease).max() ?? 0
    if max(longest, before) > configuration.leaseMilliseconds {
      fleet.timers.set(.shrinkLease, at: now.boot + LeaseArithmetic.stretched(max(longest, before)))
    }
  }

  mutating func beginFleet() {
    beginHold()
    if fleet.proofKeyIsNew { writes.append(fact(NumberProofs.fact, .string(fleet.proofKey))) }
    if fleet.longestLease < configuration.leaseMilliseconds {
      setLongestLease(configuration.leaseMilliseconds)
    }
  }

  /// C2: the row is in this turn's commit, and nothing that uses the lease is sent before that.
  mutating func setLongestLease(_ milliseconds: Int64) {
    fleet.longestLease = milliseconds
    writes.append(fact("lmax", .int(milliseconds)))
  }

  mutating func shrinkLongestLease() {
    guard !fleet.isStopping else { return }
    if fleet.longestLease > configuration.leaseMilliseconds { setLongestLease(configuration.leaseMilliseconds) }
    for name in fleet.nodes.keys.sorted() where fleet.nodes[name]?.longLease != 0 {
      fleet.nodes[name]?.longLease = 0
      fleet.dirtyNodes.insert(name)
    }
  }

  /// The turn's rows of attempts and node records.
  mutating func writeFleetRows() {
    if fleet.lastAttempt != fleet.persistedAttempt {
      fleet.persistedAttempt = fleet.lastAttempt
      writes.append(fact("attempt", .int(fleet.lastAttempt)))
    }
    for number in fleet.dirtyAttempts {
      let value = fleet.attempts[number].map { Array(Self.rowJSON($0).text.utf8) }
      writes.append(StoreWrite(table: .attempts, key: String(number), value: value))
    }
    fleet.dirtyAttempts.removeAll()
    for name in fleet.dirtyNodes {
      let value = fleet.nodes[name].map { record in
        var json = record.holder.row
        json["fencesFully"] = .bool(record.fencesFully)
        json["declaredDead"] = .bool(record.isDeclaredDead)
        if record.longLease > 0 { json["longLease"] = .int(record.longLease) }
        return Array(json.text.utf8)
      }
      writes.append(StoreWrite(table: .noderecords, key: name, value: value))
    }
    fleet.dirtyNodes.removeAll()
  }
}

extension NodeHolder {
  /// One of whom no more is known than the name: nobody is its successor.
  fileprivate init(keeper: String) {
    self.init(keeper: keeper, machineID: "", bootID: "", hardwareID: "", directory: "")
  }

  fileprivate init?(row: JSON) {
    guard let keeper = row["keeper"]?.stringValue, let machine = row["machine"]?.stringValue,
      let boot = row["boot"]?.stringValue
    else { return nil }
    self.init(
      keeper: keeper, machineID: machine, bootID: boot, hardwareID: row["hardware"]?.stringValue ?? "",
      directory: row["directory"]?.stringValue ?? "")
  }

  fileprivate var row: JSON {
    [
      "keeper": .string(keeper), "machine": .string(machineID), "boot": .string(bootID),
      "hardware": .string(hardwareID), "directory": .string(directory),
    ]
  }
}
