// One queue: the Jobs that wait in it by namespace, what its admitted ones may take, and who is next. Derives from the
// Jobs and the Queue object. Must not know how a Job is written.

import ClusterProto

/// What a Queue object says.
struct QueueSpec: Equatable, Sendable {
  var priority: Int64
  var limits: QueueAmounts
  private var weights: JSONObject

  /// Reads a validated spec.
  init(_ spec: JSON?) {
    priority = spec?["priority"]?.intValue ?? 0
    limits = QueueAmounts(limits: spec?["limits"])
    weights = spec?["weights"]?.objectValue ?? JSONObject()
  }

  /// How much of the queue the namespace may have for each part of another's.
  func weight(of namespace: String) -> Int64 { max(1, weights[namespace]?.intValue ?? 1) }
}

/// What a Job is to its queue.
enum QueueStanding: Equatable, Sendable {
  case waiting(queue: String, order: Int64, amounts: QueueAmounts)
  case running(queue: String, amounts: QueueAmounts)

  var queue: String {
    switch self {
    case .waiting(let queue, _, _), .running(let queue, _): queue
    }
  }
}

struct JobQueue: Sendable {
  /// A namespace with waiting Jobs, by what decides whose turn it is: the least share, then the oldest Job.
  private struct Turn: Comparable, Sendable {
    var taken: Int64
    var weight: Int64
    var order: Int64
    var namespace: String

    static func < (left: Turn, right: Turn) -> Bool {
      let one = Int128(left.taken) * Int128(right.weight)
      let other = Int128(right.taken) * Int128(left.weight)
      return one != other ? one < other : left.order < right.order
    }
  }

  private struct Part: Sendable {
    var waiting = RankedJobs()
    /// Pods that its admitted Jobs may run.
    var taken: Int64 = 0
    /// How its turn stands in the order.
    var turn: Turn?
  }

  /// Nil: there is no such Queue object.
  private(set) var spec: QueueSpec?
  private var parts: [String: Part] = [:]
  private var turns: [Turn] = []
  private(set) var used = QueueAmounts()
  private(set) var running = 0
  /// Jobs that wait at their place.
  private(set) var queued = 0
  /// Jobs that ask for more than the limits, and so have no place.
  private(set) var misfits: [ObjectKey: (order: Int64, amounts: QueueAmounts)] = [:]
  /// What waiting Jobs ask for.
  private var asked: [ObjectKey: QueueAmounts] = [:]
  /// Waiting Jobs that may not say yet why they wait, or say it wrongly.
  var untold = WorkQueue<ObjectKey>()

  var waiting: Int { queued + misfits.count }
  var isEmpty: Bool { waiting == 0 && running == 0 && spec == nil }
  /// Steps of looking for places; for tests of cost.
  var walked: Int { turns.reduce(0) { $0 + (parts[$1.namespace]?.waiting.walked ?? 0) } }

  // MARK: Jobs come and go

  mutating func enter(_ key: ObjectKey, _ standing: QueueStanding) {
    switch standing {
    case .waiting(_, let order, let amounts):
      untold.add(key)
      if spec?.limits.firstExceeded(by: amounts) != nil {
        misfits[key] = (order, amounts)
        return
      }
      queued += 1
      asked[key] = amounts
      let weight = max(1, Int64(clamping: amounts[QueueAmounts.pods]))
      parts[key.namespace, default: Part()].waiting.insert(RankedJobs.Item(order: order, key: key, weight: weight))
    case .running(_, let amounts):
      running += 1
      used.add(amounts)
      change(taken: amounts, by: 1, in: key.namespace)
    }
    settleTurn(of: key.namespace)
  }

  mutating func leave(_ key: ObjectKey, _ standing: QueueStanding) {
    switch standing {
    case .waiting(_, let order, _):
      untold.remove(key)
      if misfits.removeValue(forKey: key) != nil { return }
      queued -= 1
      asked[key] = nil
      parts[key.namespace]?.waiting.remove(order)
    case .running(_, let amounts):
      running -= 1
      used.take(amounts)
      change(taken: amounts, by: -1, in: key.namespace)
    }
    settleTurn(of: key.namespace)
  }

  private mutating func change(taken amounts: QueueAmounts, by sign: Int64, in namespace: String) {
    let pods = max(1, Int64(clamping: amounts[QueueAmounts.pods]))
    parts[namespace, default: Part()].taken += sign * pods
  }

  private mutating func settleTurn(of namespace: String) {
    guard let part = parts[namespace] else { return }
    if let old = part.turn {
      let position = place(of: old)
      if position < turns.count, turns[position] == old { turns.remove(at: position) }
      parts[namespace]?.turn = nil
    }
    guard let first = part.waiting.first else {
      if part.taken == 0 { parts[namespace] = nil }
      return
    }
    let turn = Turn(
      taken: part.taken, weight: spec?.weight(of: namespace) ?? 1, order: first.order, namespace: namespace)
    turns.insert(turn, at: place(of: turn))
    parts[namespace]?.turn = turn
  }

  private func place(of turn: Turn) -> Int {
    var low = 0
    var high = turns.count
    while low < high {
      let middle = (low + high) / 2
      if turns[middle] < turn { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: The Queue object

  /// The Queue came, changed or went.
  mutating func set(_ new: QueueSpec?) {
    guard new != spec else { return }
    let hadSpec = spec != nil
    let before = misfits.keys.sorted().map { ($0, misfits[$0]) }
    spec = new
    misfits = [:]
    for (key, job) in before {
      guard let job else { continue }
      enter(key, .waiting(queue: "", order: job.order, amounts: job.amounts))
    }
    for namespace in parts.keys.sorted() {
      if hadSpec != (new != nil) { for key in parts[namespace]?.waiting.keys ?? [] { untold.add(key) } }
      settleTurn(of: namespace)
    }
  }

  // MARK: Who is next

  /// The next Job, if the limits have room for it. One that never fits loses its place.
  mutating func next() -> ObjectKey? {
    guard let limits = spec?.limits else { return nil }
    while let turn = turns.first, let item = parts[turn.namespace]?.waiting.first {
      guard let amounts = asked[item.key] else { return nil }
      if limits.firstExceeded(by: amounts) != nil {
        leave(item.key, .waiting(queue: "", order: item.order, amounts: amounts))
        enter(item.key, .waiting(queue: "", order: item.order, amounts: amounts))
        continue
      }
      return limits.firstExceeded(by: amounts, beside: used) == nil ? item.key : nil
    }
    return nil
  }

  /// The place of a waiting Job, as things stand: how many are admitted up to and with it if none ends. Nil: it has
  /// none.
  mutating func place(of key: ObjectKey, order: Int64) -> Int? {
    guard asked[key] != nil, let own = parts[key.namespace] else { return nil }
    let weight = Int128(spec?.weight(of: key.namespace) ?? 1)
    let before = parts[key.namespace]?.waiting.ahead(of: order) ?? (count: 0, weight: 0)
    let level = Int128(own.taken) + before.weight
    var ahead = before.count
    for turn in turns where turn.namespace != key.namespace {
      // Of the others those whose share is less when they come to their turn: taken / weight < level / own weight.
      let other = Int128(turn.weight)
      let (whole, rest) = (level * other).quotientAndRemainder(dividingBy: weight)
      let limit = whole - Int128(turn.taken) + (rest == 0 ? 0 : 1)
      ahead +=
        parts[turn.namespace]?.waiting.count(below: limit, orAt: rest == 0 ? order : Int64.min) ?? 0
    }
    return ahead + 1
  }
}
