// Waiting groups by what decides whether a node can take them: if one group of a class fits nowhere, none does. A node
// that has room again is offered to the classes that fit it, one after another in the order of their coming, until it
// is full: 10,000 Jobs that wait cost what one costs, equal or not. Data and its indexes; placing is the Scheduler's.

import ClusterProto

typealias WaitingClassID = Int

/// What the scheduler's filters look at in a pod.
struct WaitingNeeds: Hashable, Sendable {
  var cpuMillicores: Int64
  var memoryBytes: Int64
  var tolerations: [Toleration]
  var nodeSelector: StringMap
  var scheduling: SchedulingSpec
  var pinnedNode: String
  var identity: PodIdentity?
  /// So many are placed together; 0: each by itself.
  var gang: Int64 = 0
  var storage: StorageNeeds?
}

/// Who comes first: the higher priority, then that of the Job's queue, then who came first.
struct WaitingRank: Comparable, Sendable {
  var priority: Int64
  var queue: Int64 = 0
  var order: Int

  /// Before all others.
  static let first = WaitingRank(priority: Int64.max, queue: Int64.max, order: Int.min)

  static func < (left: WaitingRank, right: WaitingRank) -> Bool {
    if left.priority != right.priority { return left.priority > right.priority }
    return left.queue == right.queue ? left.order < right.order : left.queue > right.queue
  }
}

/// A group's place in its class's queue, or a class's place among those that are due.
struct WaitingPlace<Member: Sendable>: Comparable, Sendable {
  var rank: WaitingRank
  var member: Member

  static func == (left: WaitingPlace, right: WaitingPlace) -> Bool { left.rank == right.rank }
  static func < (left: WaitingPlace, right: WaitingPlace) -> Bool { left.rank < right.rank }
}

/// What the scheduler does next.
enum WaitingNext: Sendable {
  /// Tries a group of a class.
  case place(WaitingClassID, WaitingGroupKey)
  /// Offers a node to the parked classes.
  case offer(OpenedNode)
}

struct WaitingClass: Sendable {
  enum Standing: Sendable {
    /// Nothing is queued: all its groups are gated.
    case idle
    case due
    /// Nothing of it fits any node as they are.
    case parked
  }

  let needs: WaitingNeeds
  /// One that has these needs.
  let spec: PodSpec
  var standing = Standing.idle
  /// Its place among the parked ones.
  var parkedAt: ParkedPlace?
  /// All its groups, in the order of their coming.
  var members = InsertionSet<WaitingGroupKey>()
  /// Those to be tried; entries of groups that are gone or gated are passed over.
  var queue = MinHeap<WaitingPlace<WaitingGroupKey>>()
  /// Nodes that may have room for it; nil: any.
  var open: InsertionSet<String>?
  /// Why nothing fitted the last time it was asked.
  var message = ""
  /// Groups with pods that do not say yet why they wait.
  var unmarked = WorkQueue<WaitingGroupKey>()

  var priority: Int64 { needs.scheduling.priority }
  /// Of its first group.
  var rank: WaitingRank { queue.first?.rank ?? WaitingRank(priority: priority, order: Int.max) }
}

struct WaitingClasses: Sendable {
  private(set) var all: [WaitingClassID: WaitingClass] = [:]
  private var ids: [WaitingNeeds: WaitingClassID] = [:]
  private var lastID = 0
  private var due = MinHeap<WaitingPlace<WaitingClassID>>()
  private var dueIDs = InsertionSet<WaitingClassID>()
  private var parkedIDs = InsertionSet<WaitingClassID>()
  /// The parked ones that name no node, and the others by the node that they name.
  private var parked = ParkedClasses()
  private var pinned: [String: InsertionSet<WaitingClassID>] = [:]
  private var opened = OpenedNodes()
  /// A class that is woken looks at so many nodes that have room at once.
  private static let nodesAtOnce = 64
  /// Parked classes whose pods have to be told.
  private var marking = WorkQueue<WaitingClassID>()
  /// Parked classes whose message may be wrong.
  private var stale = WorkQueue<WaitingClassID>()
  private var isAllStale = false
  /// Classes that were asked whether they fit a node: what tests of cost count.
  private(set) var asked = 0

  var isEmpty: Bool { all.isEmpty }
  var parkedCount: Int { parkedIDs.count }
  var hasStale: Bool { isAllStale || !stale.isEmpty }

  subscript(id: WaitingClassID) -> WaitingClass? { all[id] }

  /// The class of a new group, made where there is none.
  mutating func enter(_ group: WaitingGroupKey, _ spec: PodSpec, gang: Int64) -> WaitingClassID {
    let needs = WaitingNeeds(
      cpuMillicores: spec.cpuMillicores, memoryBytes: spec.memoryBytes, tolerations: spec.tolerations,
      nodeSelector: spec.nodeSelector, scheduling: spec.scheduling, pinnedNode: group.pinnedNode,
      identity: group.identity, gang: gang, storage: group.storage)
    if let id = ids[needs] {
      all[id]?.members.insert(group)
      return id
    }
    lastID += 1
    var made = WaitingClass(needs: needs, spec: spec)
    made.members.insert(group)
    all[lastID] = made
    ids[needs] = lastID
    return lastID
  }

  /// A group is gone, and with the last one its class.
  mutating func leave(_ group: WaitingGroupKey, _ id: WaitingClassID) {
    all[id]?.members.remove(group)
    all[id]?.unmarked.remove(group)
    guard let left = all[id], left.members.isEmpty else { return }
    unpark(id)
    dueIDs.remove(id)
    marking.remove(id)
    stale.remove(id)
    ids[left.needs] = nil
    all[id] = nil
  }

  mutating func queue(_ group: WaitingGroupKey, order: Int, queue: Int64, _ id: WaitingClassID) {
    let rank = WaitingRank(priority: all[id]?.priority ?? 0, queue: queue, order: order)
    all[id]?.queue.insert(WaitingPlace(rank: rank, member: group))
    switch all[id]?.standing {
    case .idle?:
      // What opened meanwhile was not noted.
      all[id]?.open = nil
      makeDue(id, rank)
    case .due?: due.insert(WaitingPlace(rank: rank, member: id))
    case .parked?:
      // A group that was held back may have come before the others.
      if let at = all[id]?.parkedAt, rank < at.rank { enterParked(id, rank) }
    case nil: break
    }
  }

  /// The group's pods have to be told why they wait, once it is known that they do.
  mutating func mark(_ group: WaitingGroupKey, _ id: WaitingClassID) {
    all[id]?.unmarked.add(group)
    if all[id]?.standing == .parked { marking.add(id) }
  }

  // MARK: - Due

  private mutating func makeDue(_ id: WaitingClassID, _ rank: WaitingRank) {
    all[id]?.standing = .due
    dueIDs.insert(id)
    due.insert(WaitingPlace(rank: rank, member: id))
  }

  /// The due class whose first group comes first, and that group; it stays until it is taken.
  private mutating func firstDue(of groups: [WaitingGroupKey: WaitingGroup]) -> WaitingPlace<WaitingClassID>? {
    while let place = due.first {
      let id = place.member
      guard all[id]?.standing == .due else {
        due.removeFirst()
        continue
      }
      while let head = all[id]?.queue.first {
        // Gone, gated, or gone and come again.
        if let group = groups[head.member], group.isQueued, group.order == head.rank.order { break }
        all[id]?.queue.removeFirst()
      }
      guard let head = all[id]?.queue.first else {
        due.removeFirst()
        all[id]?.standing = .idle
        dueIDs.remove(id)
        continue
      }
      if head.rank <= place.rank { return place }
      due.replaceFirst(with: WaitingPlace(rank: head.rank, member: id))
    }
    return nil
  }

  /// The due class whose first group comes first, and that group, unless a node has room that somebody before it may
  /// want.
  mutating func next(of groups: [WaitingGroupKey: WaitingGroup], offers: Bool) -> WaitingNext? {
    let place = firstDue(of: groups)
    if offers, let node = opened.first(), place.map({ node.rank < $0.rank }) ?? true { return .offer(node) }
    guard let place, let group = all[place.member]?.queue.first?.member else { return nil }
    due.removeFirst()
    return .place(place.member, group)
  }

  /// What is left of a class that is still due goes on at its place.
  mutating func goOn(_ id: WaitingClassID) {
    guard let found = all[id], found.standing == .due else { return }
    due.insert(WaitingPlace(rank: found.rank, member: id))
  }

  /// Nothing of the class fits anywhere.
  mutating func park(_ id: WaitingClassID) {
    guard let found = all[id], found.standing == .due else { return }
    all[id]?.standing = .parked
    dueIDs.remove(id)
    parkedIDs.insert(id)
    enterParked(id, found.rank)
    if !found.unmarked.isEmpty { marking.add(id) }
  }

  private mutating func enterParked(_ id: WaitingClassID, _ rank: WaitingRank) {
    guard let needs = all[id]?.needs else { return }
    // No node is for it: it becomes another class when its claims change.
    if needs.storage?.obstacle != nil { return }
    if !needs.pinnedNode.isEmpty {
      pinned[needs.pinnedNode, default: InsertionSet()].insert(id)
      return
    }
    if let before = all[id]?.parkedAt { parked.remove(before) }
    let place = ParkedPlace(rank: rank, id: id, cpu: needs.cpuMillicores, memory: needs.memoryBytes)
    parked.insert(place)
    all[id]?.parkedAt = place
  }

  private mutating func unpark(_ id: WaitingClassID) {
    guard let node = all[id]?.needs.pinnedNode else { return }
    parkedIDs.remove(id)
    if let place = all[id]?.parkedAt { parked.remove(place) }
    all[id]?.parkedAt = nil
    pinned[node]?.remove(id)
    if pinned[node]?.isEmpty == true { pinned[node] = nil }
  }

  // MARK: - Nodes

  /// The node has more room than before, or is another: it is offered to the parked classes, and those that are due
  /// look at it too.
  mutating func open(_ name: String) {
    for id in dueIDs where all[id]?.open != nil { all[id]?.open?.insert(name) }
    if !parked.isEmpty { opened.open(name) }
    // They start there now, or are turned down.
    for id in Array(pinned[name] ?? InsertionSet()) { wake(id) }
  }

  /// Whatever of the node is left suits nobody who waits.
  mutating func close(_ name: String) { opened.close(name) }

  func isOpen(_ name: String) -> Bool { opened.names.contains(name) }

  /// The next parked class that the node may suit, by cpu and memory.
  mutating func nextToAsk(_ node: String, cpu: Int128, memory: Int128) -> ParkedPlace? {
    let found = parked.first(after: opened.offered[node], cpu: cpu, memory: memory)
    if found != nil { asked += 1 }
    return found
  }

  /// The node does not suit that class.
  mutating func pass(_ node: String, by place: ParkedPlace) { opened.offer(node, to: place) }

  /// The node suits the class at that place: it is tried there if none comes before it.
  mutating func take(_ node: OpenedNode, for place: ParkedPlace) {
    opened.enter(node.name, place.rank)
    guard place.rank <= node.rank else { return }
    opened.offer(node.name, to: place)
    wake(place.id)
  }

  /// A parked class is tried again; `anywhere`: any node may suit it now, and not only those that have opened.
  mutating func wake(_ id: WaitingClassID, anywhere: Bool = false) {
    guard let found = all[id], found.standing == .parked else { return }
    unpark(id)
    all[id]?.open = anywhere || opened.names.count > Self.nodesAtOnce ? nil : opened.names
    makeDue(id, found.rank)
  }

  /// Of the nodes that were looked at, these have room.
  mutating func setOpen(_ names: [String], _ id: WaitingClassID) {
    var open = InsertionSet<String>()
    for name in names { open.insert(name) }
    all[id]?.open = open
  }

  /// Any node may have room for it.
  mutating func openAll(_ id: WaitingClassID) { all[id]?.open = nil }

  mutating func close(_ name: String, _ id: WaitingClassID) { all[id]?.open?.remove(name) }

  // MARK: - Messages

  mutating func nextToTell() -> WaitingClassID? { marking.next() }

  mutating func nextUnmarked(_ id: WaitingClassID) -> WaitingGroupKey? { all[id]?.unmarked.peek() }

  mutating func marked(_ group: WaitingGroupKey, _ id: WaitingClassID) { all[id]?.unmarked.remove(group) }

  mutating func tellAgain(_ id: WaitingClassID) { if all[id]?.standing == .parked { marking.add(id) } }

  mutating func setMessage(_ message: String, _ id: WaitingClassID) { all[id]?.message = message }

  mutating func noteStale(_ id: WaitingClassID) { stale.add(id) }

  mutating func noteNodesChanged() { if !parkedIDs.isEmpty { isAllStale = true } }

  /// A class whose message has to be looked at.
  mutating func nextStale() -> WaitingClassID? {
    if isAllStale {
      isAllStale = false
      for id in parkedIDs { stale.add(id) }
    }
    return stale.next()
  }
}
