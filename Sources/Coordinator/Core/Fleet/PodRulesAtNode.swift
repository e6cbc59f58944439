// What other pods mean for one that waits on one node, while pods there are thought away and back: how preemption finds
// who stands too near, too many in a domain, or wants the pod away. Only this node's domains change meanwhile, so each
// pod costs what it has to do with the rules, not with the domains. Who is a victim is Preemption's.

import ClusterProto

/// What one pod on a node adds to the counts that the rules of a class look at.
struct PodShare: Equatable, Sendable {
  /// By the class's questions, in their order.
  var affinity: [Int]
  var antiAffinity: [Int]
  var spread: [Int]
  /// How often it wants the class's pods away.
  var repelling: Int
}

/// The rules of a class at a node.
struct PodRulesAtNode: Sendable {
  private struct Spread: Sendable {
    var here: Int
    /// Of the emptiest other domain.
    var elsewhere: Int
    var own: Int
    var maxSkew: Int64
    /// There are fewer domains than are asked for: an empty one counts among them.
    var isScarce: Bool
  }

  private var affinity: [Int]
  /// Pods that affinity asks for, in other domains.
  private let elsewhere: [Int]
  private let isFirst: Bool
  private let hasKeys: Bool
  /// The pod is one of those that its own affinity asks for.
  private let answersItself: Bool
  private var antiAffinity: [Int]
  private var repelling: Int
  private var spread: [Spread]

  /// Nil: the node is not for the pod whoever goes.
  init?(_ rules: PodRules, _ labels: StringMap, answersItself: Bool) {
    if rules.refusal(labels)?.isHopeless == true { return nil }
    func here(_ counted: PodRules.Counted) -> Int { labels[counted.key].flatMap { counted.counts[$0] } ?? 0 }
    affinity = rules.affinity.map(here)
    elsewhere = rules.affinity.map { $0.counts.values.reduce(0, +) - here($0) }
    isFirst = rules.isFirst
    hasKeys = rules.affinity.allSatisfy { labels[$0.key] != nil }
    self.answersItself = answersItself
    antiAffinity = rules.antiAffinity.map(here)
    repelling = rules.repelling.reduce(0) { $0 + here($1) }
    spread = rules.spread.filter(\.isRequired).map { rule in
      let domain = labels[rule.key] ?? ""
      let others = rule.counts.lazy.filter { $0.key != domain }.map(\.value).min()
      return Spread(
        here: rule.counts[domain] ?? 0, elsewhere: others ?? Int(Int32.max), own: rule.own, maxSkew: rule.maxSkew,
        isScarce: rule.isScarce)
    }
  }

  /// Counts a pod in or out.
  mutating func add(_ share: PodShare, _ sign: Int) {
    for index in affinity.indices { affinity[index] += sign * share.affinity[index] }
    addDistance(share, sign)
  }

  /// The same for one that only may come: it keeps others away, and is nobody to be near.
  mutating func addDistance(_ share: PodShare, _ sign: Int) {
    for index in antiAffinity.indices { antiAffinity[index] += sign * share.antiAffinity[index] }
    for index in spread.indices { spread[index].here += sign * share.spread[index] }
    repelling += sign * share.repelling
  }

  /// Whether it matters who goes: with fewer pods a distance that is kept stays so, but nearness may be lost.
  var isOpen: Bool { !affinity.isEmpty || distanceProblem != nil }

  /// Why others are too near or too many, in the order and words of Kubernetes' filters; nil: they are not.
  var distanceProblem: String? {
    for rule in spread {
      let least = rule.isScarce ? 0 : min(rule.here, rule.elsewhere)
      if Int64(clamping: rule.here + rule.own - least) > rule.maxSkew { return PodRules.spreadText }
    }
    if antiAffinity.contains(where: { $0 > 0 }) { return PodRules.antiAffinityText }
    return repelling > 0 ? PodRules.repellingText : nil
  }

  /// Whether the pod may go there.
  var isMet: Bool {
    guard hasKeys, distanceProblem == nil else { return false }
    if isFirst || affinity.allSatisfy({ $0 > 0 }) { return true }
    return answersItself && zip(affinity, elsewhere).allSatisfy { $0 <= 0 && $1 <= 0 }
  }
}

extension CoordinatorCore {
  /// What pods mean for a class at a node, and what each of them adds to it.
  struct ClassAtNode {
    let questions: PodQuestions
    let identity: PodIdentity
    var rules: PodRulesAtNode
  }

  /// Whether pods that go first keep the class away from a node on which room is being made for them.
  func isKeptAway(_ id: WaitingClassID, _ rules: PodRules?, from node: Node) -> Bool {
    guard fleet.topology.isOn, fleet.preemption.onNode[node.meta.name] != nil else { return false }
    return standing(of: id, rules ?? PodRules(), at: node, besideOwn: false)?.rules.distanceProblem != nil
  }

  /// Nil: the node is not for the class whoever goes. `besideOwn`: pods of the class itself that have the node named
  /// count; a pod that takes such a place leaves its own.
  func standing(of id: WaitingClassID, _ rules: PodRules, at node: Node, besideOwn: Bool = true) -> ClassAtNode? {
    guard let needs = fleet.scheduler.classes[id]?.needs, let identity = needs.identity else { return nil }
    let questions = PodQuestions(needs.scheduling, identity)
    let answersItself = questions.affinity.allSatisfy {
      fleet.topology.matches($0, identity.namespace, identity.labels)
    }
    guard var here = PodRulesAtNode(rules, node.meta.labels, answersItself: answersItself) else { return nil }
    var standing = ClassAtNode(questions: questions, identity: identity, rules: here)
    // Those for whom room is being made here come, most likely.
    let priority = fleet.scheduler.classes[id]?.priority ?? 0
    for key in fleet.preemption.onNode[node.meta.name] ?? InsertionSet() {
      guard let kept = fleet.preemption.nominations[key], kept.priority >= priority, besideOwn || kept.classID != id,
        let pod = state.pods[key]
      else { continue }
      here.addDistance(share(of: PlacedPod(pod, on: node.meta.name), in: standing, node.meta.labels), 1)
    }
    standing.rules = here
    return standing
  }

  /// What an attempt's pod adds to the counts of the node that it is on; nil: it is not counted.
  func share(of attempt: Attempt, in standing: ClassAtNode, _ labels: StringMap) -> PodShare? {
    guard let placed = fleet.topology.placed[attempt.pod], placed.node == attempt.node,
      state.pods[attempt.pod]?.meta.uid == attempt.podUID
    else { return nil }
    return share(of: placed, in: standing, labels)
  }

  private func share(of pod: PlacedPod, in standing: ClassAtNode, _ labels: StringMap) -> PodShare {
    func counts(_ question: PodQuestion) -> Int {
      guard labels[question.topologyKey] != nil else { return 0 }
      return fleet.topology.matches(question, pod.namespace, pod.labels) ? 1 : 0
    }
    let (own, identity) = (standing.questions, standing.identity)
    return PodShare(
      affinity: own.affinity.map(counts), antiAffinity: own.antiAffinity.map(counts),
      spread: own.spread.filter(\.rule.isRequired).map { pod.isEnding ? 0 : counts($0.question) },
      repelling: (pod.questions?.antiAffinity ?? []).count { question in
        labels[question.topologyKey] != nil
          && fleet.topology.matches(question, identity.namespace, identity.labels)
      })
  }
}
