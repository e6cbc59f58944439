// What pods say of other pods, as questions that are answered once: which pods, and what nearby means. Pods that run
// are counted for each question by node and by domain as they come and go, and found by their labels, so that neither
// a new pod nor one that ends looks at the others. Data and its indexes; what follows from the counts is PodRules'.

import ClusterProto

/// Pods of some namespaces with some labels.
struct PodSelection: Hashable, Sendable {
  /// By name, sorted.
  var namespaces: [String]
  /// By label; nil: none by label.
  var namespaceSelector: LabelSelector?
  /// Nil: no pod.
  var selector: LabelSelector?

  init(_ term: PodTerm, _ identity: PodIdentity) {
    let isOwn = term.namespaces.isEmpty && term.namespaceSelector == nil
    namespaces = isOwn ? [identity.namespace] : Set(term.namespaces).sorted()
    namespaceSelector = term.namespaceSelector
    selector = Self.narrowed(term.selector, identity, term.matchLabelKeys, term.mismatchLabelKeys)
  }

  init(_ rule: SpreadRule, _ identity: PodIdentity) {
    namespaces = [identity.namespace]
    selector = Self.narrowed(rule.selector, identity, rule.matchLabelKeys, [])
  }

  /// A label that the pod does not have narrows nothing.
  private static func narrowed(
    _ selector: LabelSelector?, _ identity: PodIdentity, _ same: [String], _ other: [String]
  ) -> LabelSelector? {
    guard var selector else { return nil }
    for (keys, operation) in [(same, LabelSelector.Operator.in), (other, .notIn)] {
      for key in keys {
        guard let value = identity.labels[key] else { continue }
        selector = selector.requiring(key, operation, value)
      }
    }
    return selector
  }
}

/// Pods that are in all the selections, and the label whose values are the places that count as one.
struct PodQuestion: Hashable, Sendable {
  var selections: [PodSelection]
  var topologyKey: String

  /// A label that each of the pods has; nil: they may have any.
  var label: StringMap.Entry? {
    for selection in selections {
      for rule in selection.selector?.requirements ?? []
      where (rule.operation == .equals || rule.operation == .in) && rule.values.count == 1 {
        return StringMap(dictionaryLiteral: (rule.key, rule.values[0])).first
      }
    }
    return nil
  }
}

/// What of a pod questions can ask: its namespace, and those of its labels that some question names.
struct PodIdentity: Hashable, Sendable {
  var namespace: String
  var labels: StringMap
}

/// The questions of one pod.
struct PodQuestions: Hashable, Sendable {
  struct Wish: Hashable, Sendable {
    var question: PodQuestion
    var weight: Int64
  }

  struct Spread: Hashable, Sendable {
    var question: PodQuestion
    var rule: SpreadRule
  }

  /// As in Kubernetes only pods that are in all required terms count for each of them.
  var affinity: [PodQuestion]
  var antiAffinity: [PodQuestion]
  var wishes: [Wish]
  var spread: [Spread]

  init(_ spec: SchedulingSpec, _ identity: PodIdentity) {
    func question(_ term: PodTerm) -> PodQuestion {
      PodQuestion(selections: [PodSelection(term, identity)], topologyKey: term.topologyKey)
    }
    let all = spec.affinity.map { PodSelection($0, identity) }
    affinity = spec.affinity.map { PodQuestion(selections: all, topologyKey: $0.topologyKey) }
    antiAffinity = spec.antiAffinity.map(question)
    wishes = spec.preferredPods.map { Wish(question: question($0.term), weight: $0.weight) }
    spread = spec.spread.map {
      Spread(
        question: PodQuestion(selections: [PodSelection($0, identity)], topologyKey: $0.topologyKey), rule: $0)
    }
  }

  var all: [PodQuestion] { affinity + antiAffinity + wishes.map(\.question) + spread.map(\.question) }

  /// The labels that the spec's questions name.
  static func labelKeys(_ spec: SchedulingSpec) -> [String] {
    var keys: [String] = []
    for term in spec.affinity + spec.antiAffinity + spec.preferredPods.map(\.term) {
      keys += (term.selector?.requirements ?? []).map(\.key) + term.matchLabelKeys + term.mismatchLabelKeys
    }
    for rule in spec.spread { keys += (rule.selector?.requirements ?? []).map(\.key) + rule.matchLabelKeys }
    return keys
  }
}

/// A pod that runs somewhere, as far as questions go.
struct PlacedPod: Equatable, Sendable {
  var node: String
  var namespace: String
  var labels: StringMap
  /// Being deleted: spreading does not count it.
  var isEnding: Bool
  var questions: PodQuestions?

  init(_ pod: Pod, on node: String) {
    let identity = PodIdentity(namespace: pod.meta.namespace, labels: pod.meta.labels)
    self.node = node
    (namespace, labels) = (pod.meta.namespace, pod.meta.labels)
    isEnding = pod.meta.deletionTimestamp != nil
    questions = pod.spec.scheduling.asksForPods ? PodQuestions(pod.spec.scheduling, identity) : nil
  }
}

typealias QuestionID = Int

/// One question with its answers.
struct AnsweredQuestion: Equatable, Sendable {
  var question: PodQuestion
  /// Who has it: waiting classes and placed pods. Without any it is forgotten.
  var holders = 0
  /// The pods, by domain.
  var domains: [String: Int] = [:]
  /// Those that are not ending, by node.
  var steady: [String: Int] = [:]
  /// Placed pods that want none of them nearby, by domain.
  var repelling: [String: Int] = [:]
  /// How much placed pods like to have them nearby, by domain.
  var liking: [String: Int64] = [:]
  /// Parked classes that a change of the answer may help.
  var watchers = InsertionSet<WaitingClassID>()
}

struct PodTopology: Sendable {
  private struct Place: Hashable, Sendable {
    var namespace: String
    var label: StringMap.Entry?
  }

  /// Some pod has had a question: from then on all are counted.
  var isOn = false
  /// The labels that questions have named, sorted.
  var labelKeys: [String] = []
  private(set) var questions: [QuestionID: AnsweredQuestion] = [:]
  private var ids: [PodQuestion: QuestionID] = [:]
  private var lastID = 0
  /// Questions by a label that their pods have; the others under nil.
  private var byLabel: [StringMap.Entry?: InsertionSet<QuestionID>] = [:]
  private(set) var placed: [ObjectKey: PlacedPod] = [:]
  /// Placed pods by namespace, and by namespace and label.
  private var places: [Place: InsertionSet<ObjectKey>] = [:]
  private var onNode: [String: InsertionSet<ObjectKey>] = [:]
  private(set) var nodes: [String: StringMap] = [:]
  private(set) var namespaces: [String: StringMap] = [:]
  /// Questions whose answers have changed, until the waiting classes are told.
  var changed = InsertionSet<QuestionID>()
  /// Who watched a question that is forgotten.
  var orphans = InsertionSet<WaitingClassID>()
  /// What was looked at: what tests of cost count.
  var steps = 0

  // MARK: - Matching

  func matches(_ question: PodQuestion, _ namespace: String, _ labels: StringMap) -> Bool {
    question.selections.allSatisfy { selection in
      guard let selector = selection.selector, selector.matches(labels) else { return false }
      if selection.namespaces.contains(namespace) { return true }
      return selection.namespaceSelector?.matches(namespaces[namespace] ?? StringMap()) ?? false
    }
  }

  /// The questions that such a pod is an answer to.
  func matching(_ namespace: String, _ labels: StringMap) -> [QuestionID] {
    var found: [QuestionID] = []
    for place in labels.map({ Optional($0) }) + [nil] {
      for id in byLabel[place] ?? InsertionSet() {
        if let known = questions[id], matches(known.question, namespace, labels) { found.append(id) }
      }
    }
    return found
  }

  // MARK: - Questions

  mutating func hold(_ question: PodQuestion) -> QuestionID {
    if let id = ids[question] {
      questions[id]?.holders += 1
      return id
    }
    lastID += 1
    let id = lastID
    var answered = AnsweredQuestion(question: question, holders: 1)
    for key in candidates(question) {
      steps += 1
      guard let pod = placed[key], matches(question, pod.namespace, pod.labels) else { continue }
      count(pod, in: &answered, by: 1)
    }
    questions[id] = answered
    ids[question] = id
    byLabel[question.label, default: InsertionSet()].insert(id)
    return id
  }

  mutating func release(_ id: QuestionID) {
    questions[id]?.holders -= 1
    guard let known = questions[id], known.holders <= 0 else { return }
    for watcher in known.watchers { orphans.insert(watcher) }
    questions[id] = nil
    ids[known.question] = nil
    byLabel[known.question.label]?.remove(id)
    if byLabel[known.question.label]?.isEmpty == true { byLabel[known.question.label] = nil }
    changed.remove(id)
  }

  /// Placed pods that may be an answer.
  private func candidates(_ question: PodQuestion) -> [ObjectKey] {
    guard let selection = question.selections.first, selection.selector != nil else { return [] }
    var named = selection.namespaces
    if selection.namespaceSelector != nil { named = Set(named + namespaces.keys).sorted() }
    return named.flatMap { Array(places[Place(namespace: $0, label: question.label)] ?? InsertionSet()) }
  }

  private func count(_ pod: PlacedPod, in answered: inout AnsweredQuestion, by change: Int) {
    if !pod.isEnding { Self.add(change, to: &answered.steady, pod.node) }
    if let domain = nodes[pod.node]?[answered.question.topologyKey] { Self.add(change, to: &answered.domains, domain) }
  }

  private static func add<Number: SignedInteger>(_ change: Number, to counts: inout [String: Number], _ key: String) {
    let sum = (counts[key] ?? 0) + change
    counts[key] = sum == 0 ? nil : sum
  }

  mutating func watch(_ id: QuestionID, _ watcher: WaitingClassID) { questions[id]?.watchers.insert(watcher) }

  mutating func takeWatchers(of id: QuestionID) -> InsertionSet<WaitingClassID> {
    guard let watchers = questions[id]?.watchers, !watchers.isEmpty else { return InsertionSet() }
    questions[id]?.watchers = InsertionSet()
    return watchers
  }

  mutating func unwatch(_ id: QuestionID, _ watcher: WaitingClassID) { questions[id]?.watchers.remove(watcher) }

  // MARK: - Pods

  mutating func place(_ key: ObjectKey, _ pod: PlacedPod?) {
    guard placed[key] != pod else { return }
    if let before = placed[key] { enter(key, before, by: -1) }
    placed[key] = pod
    if let pod { enter(key, pod, by: 1) }
  }

  private mutating func enter(_ key: ObjectKey, _ pod: PlacedPod, by change: Int) {
    note(key, in: Place(namespace: pod.namespace), change)
    for label in pod.labels { note(key, in: Place(namespace: pod.namespace, label: label), change) }
    var there = onNode[pod.node] ?? InsertionSet()
    if change > 0 { there.insert(key) } else { there.remove(key) }
    onNode[pod.node] = there.isEmpty ? nil : there
    count(pod, by: change)
  }

  private mutating func note(_ key: ObjectKey, in place: Place, _ change: Int) {
    if change > 0 {
      places[place, default: InsertionSet()].insert(key)
    } else {
      places[place]?.remove(key)
      if places[place]?.isEmpty == true { places[place] = nil }
    }
  }

  /// The pod is an answer to questions, and has some.
  private mutating func count(_ pod: PlacedPod, by change: Int) {
    for id in matching(pod.namespace, pod.labels) {
      steps += 1
      guard var answered = questions.removeValue(forKey: id) else { continue }
      count(pod, in: &answered, by: change)
      questions[id] = answered
      changed.insert(id)
    }
    guard let own = pod.questions else { return }
    for question in own.antiAffinity { bear(question, pod, repelling: change, liking: 0, change) }
    // Kubernetes' weight of a required affinity for the pods that it asks for.
    for question in own.affinity { bear(question, pod, repelling: 0, liking: Int64(change), change) }
    for wish in own.wishes { bear(wish.question, pod, repelling: 0, liking: Int64(change) * wish.weight, change) }
    for spread in own.spread { bear(spread.question, pod, repelling: 0, liking: 0, change) }
  }

  private mutating func bear(
    _ question: PodQuestion, _ pod: PlacedPod, repelling: Int, liking: Int64, _ change: Int
  ) {
    steps += 1
    // Held by each pod that has it: the next one with it finds it answered.
    guard let id = change > 0 ? hold(question) : ids[question] else { return }
    if let domain = nodes[pod.node]?[question.topologyKey] {
      if repelling != 0, var counts = questions[id]?.repelling {
        Self.add(repelling, to: &counts, domain)
        questions[id]?.repelling = counts
      }
      if liking != 0, var counts = questions[id]?.liking {
        Self.add(liking, to: &counts, domain)
        questions[id]?.liking = counts
      }
    }
    changed.insert(id)
    if change < 0 { release(id) }
  }

  // MARK: - Nodes and namespaces

  /// Returns whether where pods are has changed.
  mutating func set(node name: String, _ labels: StringMap?) -> Bool {
    guard nodes[name] != labels else { return false }
    recount(onNode[name]) { $0.nodes[name] = labels }
    return true
  }

  /// Returns whether which pods are meant may have changed.
  mutating func set(namespace name: String, _ labels: StringMap?) -> Bool {
    guard namespaces[name] != labels else { return false }
    recount(places[Place(namespace: name)]) { $0.namespaces[name] = labels }
    return true
  }

  private mutating func recount(_ keys: InsertionSet<ObjectKey>?, _ change: (inout PodTopology) -> Void) {
    let pods = (keys ?? InsertionSet()).compactMap { placed[$0] }
    // Held meanwhile: a question that is asked anew would count them all by itself.
    let held = pods.flatMap { $0.questions?.all ?? [] }.map { hold($0) }
    for pod in pods { count(pod, by: -1) }
    change(&self)
    for pod in pods { count(pod, by: 1) }
    for id in held { release(id) }
  }
}
