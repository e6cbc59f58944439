// Waiting groups by what decides whether a node can take them: if one group of a class fits nowhere, none does. So room
// on a node wakes the classes that fit it, whose groups are then tried in the order of their coming, and 10,000 Jobs
// that wait cost what one costs. Data and its indexes; placing is the Scheduler's.

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
}

/// Who comes first: the higher priority, then who came first.
struct WaitingRank: Comparable, Sendable {
  var priority: Int64
  var order: Int

  static func < (left: WaitingRank, right: WaitingRank) -> Bool {
    left.priority == right.priority ? left.order < right.order : left.priority > right.priority
  }
}

/// A group's place in its class's queue, or a class's place among those that are due.
struct WaitingPlace<Member: Sendable>: Comparable, Sendable {
  var rank: WaitingRank
  var member: Member

  static func == (left: WaitingPlace, right: WaitingPlace) -> Bool { left.rank == right.rank }
  static func < (left: WaitingPlace, right: WaitingPlace) -> Bool { left.rank < right.rank }
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
  private struct Parked: Comparable, Sendable {
    var cpu: Int64
    var id: WaitingClassID

    static func < (left: Parked, right: Parked) -> Bool { (left.cpu, left.id) < (right.cpu, right.id) }
  }

  private(set) var all: [WaitingClassID: WaitingClass] = [:]
  private var ids: [WaitingNeeds: WaitingClassID] = [:]
  private var lastID = 0
  private var due = MinHeap<WaitingPlace<WaitingClassID>>()
  private var dueIDs = InsertionSet<WaitingClassID>()
  /// The parked ones by the cpu that they ask for: those that ask for more than a node has free are not touched.
  private var parked: [Parked] = []
  /// Parked classes whose pods have to be told.
  private var marking = WorkQueue<WaitingClassID>()
  /// Parked classes whose message may be wrong.
  private var stale = WorkQueue<WaitingClassID>()
  private var isAllStale = false
  /// Classes that were asked whether they fit a node: what tests of cost count.
  private(set) var asked = 0

  var isEmpty: Bool { all.isEmpty }
  var parkedCount: Int { parked.count }
  var hasStale: Bool { isAllStale || !stale.isEmpty }

  subscript(id: WaitingClassID) -> WaitingClass? { all[id] }

  /// The class of a new group, made where there is none.
  mutating func enter(_ group: WaitingGroupKey, _ spec: PodSpec) -> WaitingClassID {
    let needs = WaitingNeeds(
      cpuMillicores: spec.cpuMillicores, memoryBytes: spec.memoryBytes, tolerations: spec.tolerations,
      nodeSelector: spec.nodeSelector, scheduling: spec.scheduling, pinnedNode: group.pinnedNode,
      identity: group.identity)
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
    if left.standing == .parked { unpark(id, left.needs.cpuMillicores) }
    dueIDs.remove(id)
    marking.remove(id)
    stale.remove(id)
    ids[left.needs] = nil
    all[id] = nil
  }

  mutating func queue(_ group: WaitingGroupKey, order: Int, _ id: WaitingClassID) {
    let rank = WaitingRank(priority: all[id]?.priority ?? 0, order: order)
    all[id]?.queue.insert(WaitingPlace(rank: rank, member: group))
    switch all[id]?.standing {
    case .idle?:
      // What opened meanwhile was not noted.
      all[id]?.open = nil
      makeDue(id, rank)
    case .due?: due.insert(WaitingPlace(rank: rank, member: id))
    case .parked?, nil: break
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

  /// The due class whose first group came first, and that group.
  mutating func next(of groups: [WaitingGroupKey: WaitingGroup]) -> (id: WaitingClassID, group: WaitingGroupKey)? {
    while let place = due.first {
      due.removeFirst()
      let id = place.member
      guard all[id]?.standing == .due else { continue }
      while let head = all[id]?.queue.first {
        // Gone, gated, or gone and come again.
        if let group = groups[head.member], group.isQueued, group.order == head.rank.order { break }
        all[id]?.queue.removeFirst()
      }
      guard let head = all[id]?.queue.first else {
        all[id]?.standing = .idle
        dueIDs.remove(id)
        continue
      }
      guard head.rank <= place.rank else {
        due.insert(WaitingPlace(rank: head.rank, member: id))
        continue
      }
      return (id, head.member)
    }
    return nil
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
    parked.insert(Parked(cpu: found.needs.cpuMillicores, id: id), at: position(found.needs.cpuMillicores, id))
    if !found.unmarked.isEmpty { marking.add(id) }
  }

  private mutating func unpark(_ id: WaitingClassID, _ cpu: Int64) {
    let place = position(cpu, id)
    guard place < parked.count, parked[place] == Parked(cpu: cpu, id: id) else { return }
    parked.remove(at: place)
  }

  private func position(_ cpu: Int64, _ id: WaitingClassID) -> Int {
    var low = 0
    var high = parked.count
    while low < high {
      let middle = (low + high) / 2
      if parked[middle] < Parked(cpu: cpu, id: id) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  // MARK: - Nodes

  /// Wakes the parked classes that fit the node as it is, and lets those that are due look at it too.
  mutating func open(_ node: Node, usage: NodeUsage) {
    let name = node.meta.name
    for id in dueIDs where all[id]?.open != nil { all[id]?.open?.insert(name) }
    let free = max(0, Int128(node.capacity.cpuMillicores) - usage.cpuMillicores)
    var woken: [WaitingPlace<WaitingClassID>] = []
    for place in parked {
      guard Int128(place.cpu) <= free else { break }
      guard let found = all[place.id] else { continue }
      asked += 1
      let pinned = found.needs.pinnedNode
      guard pinned.isEmpty || pinned == name, CoordinatorCore.fits(found.spec, usage, node.capacity),
        !pinned.isEmpty || CoordinatorCore.rejection(of: found.spec, by: node) == nil
      else { continue }
      woken.append(WaitingPlace(rank: found.rank, member: place.id))
    }
    for place in woken {
      let id = place.member
      unpark(id, all[id]?.needs.cpuMillicores ?? 0)
      var open = InsertionSet<String>()
      open.insert(name)
      all[id]?.open = open
      makeDue(id, place.rank)
    }
  }

  /// A parked class is tried again though no node has opened to it; `anywhere`: any may have.
  mutating func wake(_ id: WaitingClassID, anywhere: Bool = false) {
    guard let found = all[id], found.standing == .parked else { return }
    unpark(id, found.needs.cpuMillicores)
    all[id]?.open = anywhere ? nil : InsertionSet()
    makeDue(id, found.rank)
  }

  /// Of the nodes that were looked at, these have room.
  mutating func setOpen(_ names: [String], _ id: WaitingClassID) {
    var open = InsertionSet<String>()
    for name in names { open.insert(name) }
    all[id]?.open = open
  }

  mutating func close(_ name: String, _ id: WaitingClassID) { all[id]?.open?.remove(name) }

  // MARK: - Messages

  mutating func nextToTell() -> WaitingClassID? { marking.next() }

  mutating func nextUnmarked(_ id: WaitingClassID) -> WaitingGroupKey? { all[id]?.unmarked.peek() }

  mutating func marked(_ group: WaitingGroupKey, _ id: WaitingClassID) { all[id]?.unmarked.remove(group) }

  mutating func tellAgain(_ id: WaitingClassID) { if all[id]?.standing == .parked { marking.add(id) } }

  mutating func setMessage(_ message: String, _ id: WaitingClassID) { all[id]?.message = message }

  mutating func noteStale(_ id: WaitingClassID) { stale.add(id) }

  mutating func noteNodesChanged() { if !parked.isEmpty { isAllStale = true } }

  /// A class whose message has to be looked at.
  mutating func nextStale() -> WaitingClassID? {
    if isAllStale {
      isAllStale = false
      for place in parked { stale.add(place.id) }
    }
    return stale.next()
  }
}
