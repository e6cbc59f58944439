// Owns: the places of connections that have proven who they are, over both doors: a share for each kind of name, and a
// bound for each name in it. It must not know what connections are for, nor how they end.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// Who holds how many connections. What one name holds keeps nobody else out.
final class ConnectionPlaces {
  private enum Kind {
    case users, masters, agents
  }

  private struct Holder {
    var kind: Kind
    var name: String
    /// Rises with each that comes.
    var number: Int64
    var from: String
    var close: (String) -> Void
  }

  /// The holders of one kind, by name.
  private struct Room {
    var count = 0
    var names: [String: Set<ObjectIdentifier>] = [:]
  }

  let budget: DescriptorBudget
  private var holders: [ObjectIdentifier: Holder] = [:]
  private var rooms: [Kind: Room] = [:]
  private var lastNumber: Int64 = 0
  private var lines = SurplusLines()

  init(_ budget: DescriptorBudget) { self.budget = budget }

  /// Connections that `name` holds, of whatever kind.
  func count(of name: String) -> Int {
    rooms.values.reduce(0) { $0 + ($1.names[name]?.count ?? 0) }
  }

  func holds(_ holder: AnyObject) -> Bool { holders[ObjectIdentifier(holder)] != nil }

  /// A place for `subject`, which gives back the one that `holder` had for somebody else; the answer is why there is
  /// none, and leaves what was. `close` is called, once, if the place is needed for another.
  func take(
    _ holder: AnyObject, for subject: Subject, isSession: Bool = false, close: @escaping (String) -> Void
  ) -> String? {
    let identity = ObjectIdentifier(holder)
    let kind: Kind = isSession ? .agents : subject.mayAll ? .masters : .users
    if let before = holders[identity], before.kind == kind, before.name == subject.name { return nil }
    if let refusal = makeRoom(kind, subject) { return refusal }
    remove(holder)
    lastNumber += 1
    holders[identity] = Holder(
      kind: kind, name: subject.name, number: lastNumber, from: subject.from, close: close)
    rooms[kind, default: Room()].count += 1
    rooms[kind, default: Room()].names[subject.name, default: []].insert(identity)
    return nil
  }

  /// It is no longer open.
  func remove(_ holder: AnyObject) { remove(ObjectIdentifier(holder)) }

  /// Says at the start what a low limit means.
  func tellBudget() {
    guard budget.limit < Self.lowLimit else { return }
    ServerLog.error(
      "few files may be open, so few connections find a place: raise the hard limit (ulimit -Hn, LimitNOFILE)",
      ("files", "\(budget.limit)"), ("agents", "\(budget.agents.total)"), ("users", "\(budget.users.total)"))
  }

  private static let lowLimit = 4_096

  /// Says how many connections were refused since a line said so, once a minute a name.
  func tellSurplus() { for line in lines.due(at: Clocks.boot()) { write(line) } }

  private func share(of kind: Kind) -> DescriptorBudget.Share {
    switch kind {
    case .users: budget.users
    case .masters: budget.masters
    case .agents: budget.agents
    }
  }

  private func makeRoom(_ kind: Kind, _ subject: Subject) -> String? {
    let share = share(of: kind)
    let room = rooms[kind] ?? Room()
    let own = room.names[subject.name]?.count ?? 0
    if own >= share.each {
      // An agent that connects anew may not know yet that its former session has ended here.
      if kind == .agents, let oldest = room.names[subject.name]?.min(by: isOlder) {
        give(oldest, "a newer session of this node takes its place: it has \(share.each)")
        return nil
      }
      return refuse(
        subject.name, from: subject.from,
        "\(subject.name) has \(own) connections open, as many as one name may have: close some, or try again later")
    }
    guard room.count >= share.total else { return nil }
    // Of users who have taken all together, the one with the most gives way to who has fewer.
    let most = room.names.max { left, right in
      left.value.count == right.value.count ? left.key > right.key : left.value.count < right.value.count
    }
    guard let most, most.value.count > own + 1, let newest = most.value.max(by: isOlder) else {
      return refuse(
        subject.name, from: subject.from,
        "all \(share.total) places for connections of this kind are taken: try again later")
    }
    give(
      newest,
      "all places for connections are taken, and \(most.key) has the most, \(most.value.count): try again later")
    return nil
  }

  private func isOlder(_ left: ObjectIdentifier, _ right: ObjectIdentifier) -> Bool {
    (holders[left]?.number ?? 0) < (holders[right]?.number ?? 0)
  }

  /// The holder's place is another's now.
  private func give(_ identity: ObjectIdentifier, _ reason: String) {
    guard let holder = remove(identity) else { return }
    _ = refuse(holder.name, from: holder.from, reason)
    holder.close(reason)
  }

  @discardableResult
  private func remove(_ identity: ObjectIdentifier) -> Holder? {
    guard let holder = holders.removeValue(forKey: identity) else { return nil }
    rooms[holder.kind]?.count -= 1
    rooms[holder.kind]?.names[holder.name]?.remove(identity)
    if rooms[holder.kind]?.names[holder.name]?.isEmpty == true { rooms[holder.kind]?.names[holder.name] = nil }
    return holder
  }

  private func refuse(_ name: String, from: String, _ reason: String) -> String {
    if let line = lines.take(name, from: from, reason, at: Clocks.boot()) { write(line) }
    return reason
  }

  private func write(_ line: SurplusLines.Line) {
    let count = line.count == 1 ? "connection refused" : "\(line.count) connections refused"
    ServerLog.audit(.refusal, "\(count): \(line.reason)", who: line.name, from: line.from)
  }
}

/// A line a minute for each name whose connections are too many, with how many there were. Bounded: names beyond the
/// number that is kept share one line.
struct SurplusLines {
  struct Line: Equatable {
    var name: String
    /// Of the last one.
    var from: String
    var reason: String
    var count: Int
  }

  static let nanoseconds: Int64 = 60_000_000_000
  static let nameLimit = 256

  private var waiting: [String: (line: Line, since: Int64)] = [:]

  /// One more: the first of a while has its line at once, those that follow one together.
  mutating func take(_ name: String, from: String, _ reason: String, at now: Int64) -> Line? {
    let name = waiting[name] == nil && waiting.count >= Self.nameLimit ? "" : name
    guard var known = waiting[name] else {
      waiting[name] = (Line(name: name, from: from, reason: reason, count: 0), now)
      return Line(name: name, from: from, reason: reason, count: 1)
    }
    known.line = Line(name: name, from: from, reason: reason, count: known.line.count + 1)
    waiting[name] = known
    return nil
  }

  /// What is to be said now.
  mutating func due(at now: Int64) -> [Line] {
    var result: [Line] = []
    for (name, known) in waiting where now - known.since >= Self.nanoseconds {
      if known.line.count == 0 {
        waiting[name] = nil
      } else {
        result.append(known.line)
        waiting[name] = (Line(name: name, from: "", reason: "", count: 0), now)
      }
    }
    return result.sorted { $0.name < $1.name }
  }
}
