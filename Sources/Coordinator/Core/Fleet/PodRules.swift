// What the pods that run mean for one that waits: affinity, anti-affinity of both sides, spreading. Kubernetes' filters
// and their words, and how much a node is wished for. Reads PodTerms' counts; which node is taken is the Scheduler's.

import ClusterProto

/// The rules for the pods of one class as things stand.
struct PodRules: Sendable {
  struct Counted: Sendable {
    var key: String
    var counts: [String: Int]
  }

  struct Weighed: Sendable {
    var key: String
    var weights: [String: Int64]
  }

  struct Spread: Sendable {
    var key: String
    var counts: [String: Int]
    /// Of the emptiest domain.
    var least: Int
    /// Whether the pod itself would be counted.
    var own: Int
    var maxSkew: Int64
    var isRequired: Bool
    /// There are fewer domains than are asked for.
    var isScarce: Bool
  }

  var affinity: [Counted] = []
  var antiAffinity: [Counted] = []
  var repelling: [Counted] = []
  var wishes: [Weighed] = []
  var spread: [Spread] = []
  /// Nobody is there that the pod wants nearby, and it is one of those: it may be the first.
  var isFirst = false
  /// The pod has questions itself: each placement changes the answers.
  var isOwn = false

  static let spreadText = "node(s) didn't match pod topology spread constraints"
  static let antiAffinityText = "node(s) didn't match pod anti-affinity rules"
  static let repellingText = "node(s) didn't satisfy existing pods anti-affinity rules"

  /// Why the node is not for the pod; nil: it may be.
  func refusal(_ labels: StringMap) -> NodeRefusal? {
    for rule in spread where rule.isRequired {
      guard let domain = labels[rule.key] else {
        return NodeRefusal(["\(Self.spreadText) (missing required label)"], isHopeless: true)
      }
      if Int64(clamping: (rule.counts[domain] ?? 0) + rule.own - rule.least) > rule.maxSkew {
        return NodeRefusal([Self.spreadText], isHopeless: false)
      }
    }
    let hasKeys = affinity.allSatisfy { labels[$0.key] != nil }
    if !hasKeys || !isFirst && !affinity.allSatisfy({ Self.isThere($0, labels) }) {
      return NodeRefusal(["node(s) didn't match pod affinity rules"], isHopeless: true)
    }
    if antiAffinity.contains(where: { Self.isThere($0, labels) }) {
      return NodeRefusal([Self.antiAffinityText], isHopeless: false)
    }
    if repelling.contains(where: { Self.isThere($0, labels) }) {
      return NodeRefusal([Self.repellingText], isHopeless: false)
    }
    return nil
  }

  private static func isThere(_ counted: Counted, _ labels: StringMap) -> Bool {
    labels[counted.key].map { (counted.counts[$0] ?? 0) > 0 } ?? false
  }

  var hasPreferences: Bool { !wishes.isEmpty || spread.contains { !$0.isRequired } }

  /// Adds to the nodes' preferences what pods nearby are worth: affinity and spreading weigh 2 each, as in Kubernetes,
  /// and are spread over 0 to 100 among these nodes.
  func prefer(_ found: inout [SchedulingCandidate], _ labels: (String) -> StringMap) {
    guard hasPreferences, found.count > 1 else { return }
    var liked: [Int64] = []
    var crowded: [Int64] = []
    for candidate in found {
      let labels = labels(candidate.name)
      liked.append(wishes.reduce(0) { sum, wish in sum + (labels[wish.key].flatMap { wish.weights[$0] } ?? 0) })
      crowded.append(
        spread.reduce(0) { sum, rule in
          rule.isRequired ? sum : sum + Int64(labels[rule.key].map { rule.counts[$0] ?? 0 } ?? rule.least)
        })
    }
    let (least, most) = (liked.min() ?? 0, liked.max() ?? 0)
    let (emptiest, fullest) = (crowded.min() ?? 0, crowded.max() ?? 0)
    for index in found.indices {
      if most > least { found[index].preference += 200 * (liked[index] - least) / (most - least) }
      if fullest > 0 { found[index].preference += 200 * (fullest + emptiest - crowded[index]) / fullest }
    }
  }
}

extension CoordinatorCore {
  /// What of the pod questions can ask; nil while nobody asks.
  func identity(of pod: Pod) -> PodIdentity? {
    guard fleet.topology.isOn else { return nil }
    var labels = StringMap()
    for key in fleet.topology.labelKeys { if let value = pod.meta.labels[key] { labels[key] = value } }
    return PodIdentity(namespace: pod.meta.namespace, labels: labels)
  }

  // MARK: - Following pods, nodes and namespaces

  /// Before the pod's group is looked up: its questions may name labels that groups have to differ by.
  mutating func observeQuestions(_ pod: Pod) {
    guard pod.spec.scheduling.asksForPods else { return }
    let known = fleet.topology.labelKeys
    let new = PodQuestions.labelKeys(pod.spec.scheduling).filter { !known.contains($0) }
    if fleet.topology.isOn, new.isEmpty { return }
    if !fleet.topology.isOn {
      fleet.topology.isOn = true
      for key in state.keys(of: .nodes) {
        _ = fleet.topology.set(node: key.name, state.nodes[key]?.meta.labels)
      }
      for key in state.keys(of: .namespaces) {
        _ = fleet.topology.set(namespace: key.name, state.other(.namespaces, key)?.meta.labels)
      }
      for key in state.keys(of: .pods) { if let pod = state.pods[key] { observePlacement(key, pod) } }
    }
    fleet.topology.labelKeys = Set(known + new).sorted()
    groupAnew()
  }

  mutating func observePlacement(_ key: ObjectKey, _ pod: Pod?) {
    guard fleet.topology.isOn else { return }
    fleet.topology.place(key, pod.flatMap(Self.placement))
    tellWatchers()
  }

  /// Where a pod counts; nil: it waits, or has ended.
  static func placement(_ pod: Pod) -> PlacedPod? {
    guard let node = pod.nodeName, pod.status.fencingToken != nil, !pod.status.phase.isTerminal else { return nil }
    return PlacedPod(pod, on: node)
  }

  mutating func observeTopology(node name: String, _ labels: StringMap?) {
    guard fleet.topology.isOn, fleet.topology.set(node: name, labels) else { return }
    fleet.topology.changed.removeAll()
    // Domains may have come and gone, whoever is in them.
    for id in fleet.scheduler.ruled { fleet.scheduler.classes.wake(id, anywhere: true) }
  }

  mutating func observeTopology(namespace name: String, _ labels: StringMap?) {
    guard fleet.topology.isOn, fleet.topology.set(namespace: name, labels) else { return }
    tellWatchers()
  }

  /// Parked classes whose questions have other answers now are tried again.
  private mutating func tellWatchers() {
    while let watcher = fleet.topology.orphans.popFirst() { fleet.scheduler.classes.wake(watcher, anywhere: true) }
    while let id = fleet.topology.changed.popFirst() {
      for watcher in fleet.topology.takeWatchers(of: id) {
        fleet.scheduler.classes.wake(watcher, anywhere: true)
      }
    }
  }

  /// All groups of waiting pods are made anew: what they differ by has changed.
  private mutating func groupAnew() {
    let old = fleet.scheduler.groups.sorted { $0.value.order < $1.value.order }
    var pods: [ObjectKey] = []
    for (key, group) in old {
      pods += group.pods.prefix(Int.max)
      fleet.scheduler.groups[key] = nil
      forgetNeeds(of: key)
      leaveClass(key, group.classID)
      fleet.scheduler.gated[key.jobUID] = nil
    }
    for key in pods {
      guard let pod = state.pods[key], Self.waitsForNode(pod) else { continue }
      startWaiting(pod)
      observeNomination(pod, pod)
    }
  }

  /// A group has left its class; what the class asked is forgotten with its last group.
  mutating func leaveClass(_ key: WaitingGroupKey, _ id: WaitingClassID) {
    let own = fleet.scheduler.questions[id] ?? []
    fleet.scheduler.classes.leave(key, id)
    guard fleet.scheduler.classes[id] == nil else { return }
    forgetPreemptor(id)
    unwatch(id)
    for question in own { fleet.topology.release(question) }
    fleet.scheduler.questions[id] = nil
    fleet.scheduler.ruled.remove(id)
  }

  // MARK: - A class's rules

  /// The rules for a class as things stand; nil: no pod matters to it.
  mutating func podRules(of id: WaitingClassID) -> PodRules? {
    guard fleet.topology.isOn, let needs = fleet.scheduler.classes[id]?.needs, let identity = needs.identity,
      let spec = fleet.scheduler.classes[id]?.spec
    else { return nil }
    var rules = PodRules()
    rules.isOwn = needs.scheduling.asksForPods
    for question in fleet.topology.matching(identity.namespace, identity.labels) {
      guard let answered = fleet.topology.questions[question] else { continue }
      let key = answered.question.topologyKey
      if !answered.repelling.isEmpty { rules.repelling.append(PodRules.Counted(key: key, counts: answered.repelling)) }
      if !answered.liking.isEmpty { rules.wishes.append(PodRules.Weighed(key: key, weights: answered.liking)) }
    }
    if !rules.isOwn { return rules.repelling.isEmpty && rules.wishes.isEmpty ? nil : rules }
    let own = PodQuestions(needs.scheduling, identity)
    if fleet.scheduler.questions[id] == nil {
      fleet.scheduler.questions[id] = own.all.map { fleet.topology.hold($0) }
    }
    var ids = (fleet.scheduler.questions[id] ?? [])[...]
    func next() -> AnsweredQuestion? { ids.popFirst().flatMap { fleet.topology.questions[$0] } }
    func counted() -> PodRules.Counted? {
      next().map { PodRules.Counted(key: $0.question.topologyKey, counts: $0.domains) }
    }
    rules.affinity = own.affinity.compactMap { _ in counted() }
    rules.antiAffinity = own.antiAffinity.compactMap { _ in counted() }
    for wish in own.wishes {
      guard let found = counted() else { continue }
      rules.wishes.append(
        PodRules.Weighed(key: found.key, weights: found.counts.mapValues { Int64($0) * wish.weight }))
    }
    rules.isFirst =
      rules.affinity.allSatisfy(\.counts.isEmpty)
      && own.affinity.allSatisfy { fleet.topology.matches($0, identity.namespace, identity.labels) }
    for spread in own.spread {
      guard let answered = next() else { continue }
      rules.spread.append(spreading(spread, answered, of: own, identity, spec))
    }
    return rules
  }

  /// Counts by domain over the nodes that count for the pod.
  private mutating func spreading(
    _ spread: PodQuestions.Spread, _ answered: AnsweredQuestion, of own: PodQuestions, _ identity: PodIdentity,
    _ spec: PodSpec
  ) -> PodRules.Spread {
    let rule = spread.rule
    let keys = own.spread.filter { $0.rule.isRequired == rule.isRequired }.map(\.rule.topologyKey)
    var counts: [String: Int] = [:]
    for key in state.keys(of: .nodes) {
      fleet.topology.steps += 1
      guard let node = state.nodes[key], let domain = node.meta.labels[rule.topologyKey],
        keys.allSatisfy({ node.meta.labels[$0] != nil }),
        !rule.honoursAffinity || Self.matchesSelection(spec, node),
        !rule.honoursTaints || Self.untoleratedTaint(spec, node) == nil
      else { continue }
      counts[domain, default: 0] += answered.steady[key.name] ?? 0
    }
    let isSelf = fleet.topology.matches(spread.question, identity.namespace, identity.labels)
    let isScarce = Int64(counts.count) < rule.minDomains
    return PodRules.Spread(
      key: rule.topologyKey, counts: counts, least: isScarce ? 0 : counts.values.min() ?? Int(Int32.max),
      own: isSelf ? 1 : 0, maxSkew: rule.maxSkew, isRequired: rule.isRequired, isScarce: isScarce)
  }

  // MARK: - Waiting for other pods

  /// The class fits nowhere: it is tried again when pods come or go that matter to it.
  mutating func watchPods(_ id: WaitingClassID) {
    guard fleet.topology.isOn, let identity = fleet.scheduler.classes[id]?.needs.identity else { return }
    unwatch(id)
    let watched =
      (fleet.scheduler.questions[id] ?? []) + fleet.topology.matching(identity.namespace, identity.labels)
    guard !watched.isEmpty else { return }
    for question in watched { fleet.topology.watch(question, id) }
    fleet.scheduler.watched[id] = watched
    fleet.scheduler.ruled.insert(id)
  }

  private mutating func unwatch(_ id: WaitingClassID) {
    for question in fleet.scheduler.watched.removeValue(forKey: id) ?? [] { fleet.topology.unwatch(question, id) }
  }
}
