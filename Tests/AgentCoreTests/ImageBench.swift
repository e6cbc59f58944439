// An agent that runs images, with a coordinator, a keeper and a fetcher played by the test.

import AgentCore
import ClusterProto
import Testing

struct ImageBench {
  var agent: AgentBench
  /// Fetches that were ordered, by their number.
  var ordered: [PullNumber: ImageReference] = [:]

  /// An agent with a session whose node has these images.
  init(_ images: [ImageRecord] = [], parallel: Int = 3, _ change: (inout ImageSettings) -> Void = { _ in }) {
    var configuration = AgentBench.configuration
    configuration.images.mode = .on
    configuration.images.parallelPulls = parallel
    change(&configuration.images)
    agent = AgentBench(configuration)
    agent.begin()
    send(.images(images))
  }

  @discardableResult
  mutating func send(_ event: AgentEvent) -> [AgentEffect] {
    let effects = agent.send(event)
    note(effects)
    return effects
  }

  mutating func note(_ effects: [AgentEffect]) {
    for case .pullImage(let number, let reference, _) in effects { ordered[number] = reference }
    #expect(agent.core.imageProblems == [])
  }

  /// The coordinator wants an attempt of these containers to run, and sends its body.
  @discardableResult
  mutating func assign(
    _ attempt: AttemptNumber, _ containers: [JSON], initContainers: [JSON] = [], secrets: [String] = [],
    references: JSONObject = JSONObject(), uid: String? = nil
  ) -> [AgentEffect] {
    var json = podSpec(initContainers: initContainers, containers: containers).json
    json["imagePullSecrets"] = .array(secrets.map { ["name": .string($0)] })
    var body = assignment(attempt, spec: PodSpec(json: json), session: agent.session, references: references)
    if let uid { body.podUID = uid }
    agent.desired[attempt] = .run
    let effects = agent.answer(assignments: [body])
    note(effects)
    return effects
  }

  @discardableResult
  mutating func pass(_ milliseconds: Int64) -> [AgentEffect] {
    let effects = agent.pass(milliseconds)
    note(effects)
    return effects
  }

  /// Answers each heartbeat on the way, without bodies; gives what the agent does.
  @discardableResult
  mutating func live(_ seconds: Int) -> [AgentEffect] {
    var effects: [AgentEffect] = []
    for _ in 0..<seconds {
      effects += agent.pass(1_000)
      effects += agent.answer()
    }
    note(effects)
    return effects
  }

  @discardableResult
  mutating func pulled(
    _ number: PullNumber, _ image: ImageRecord, milliseconds: Int64 = 1_200, bytes: Int64 = 1_000
  ) -> [AgentEffect] {
    send(.imagePulled(number, image, milliseconds: milliseconds, bytes: bytes))
  }

  @discardableResult
  mutating func failed(_ number: PullNumber, _ message: String = "no route") -> [AgentEffect] {
    send(.imagePullFailed(number, message: message))
  }
}

/// A container of that image; `policy` nil: the default.
func imageContainer(_ name: String, _ image: String, _ policy: ImagePullPolicy? = nil, command: Bool = false) -> JSON {
  var json: JSON = ["name": .string(name), "image": .string(image)]
  if let policy { json["imagePullPolicy"] = .string(policy.rawValue) }
  if command { json["command"] = ["/bin/work"] }
  return json
}

func hexDigest(_ letter: String) -> String { "sha256:" + String(repeating: letter, count: 64) }

/// An image with that tag and a digest of that letter.
func image(_ name: String, tag: String = "1", letter: String = "a", bytes: Int64 = 1_000) -> ImageRecord {
  ImageRecord(
    id: hexDigest(letter), tags: ["\(name):\(tag)"], digests: ["\(name)@\(hexDigest(letter))"], bytes: bytes,
    layers: [hexDigest(letter)], configuration: ImageConfiguration(command: ["/bin/x"]))
}

let busybox = image("docker.io/library/busybox")
let mongo = image("docker.io/library/mongo", tag: "5", letter: "b")

extension [AgentEffect] {
  /// The fetches that are ordered.
  var pulls: [(number: PullNumber, text: String)] {
    compactMap { if case .pullImage(let number, let reference, _) = $0 { (number, reference.text) } else { nil } }
  }
  var cancels: [PullNumber] { compactMap { if case .cancelPull(let number) = $0 { number } else { nil } } }
  var removals: [String] { compactMap { if case .removeImage(let id) = $0 { id } else { nil } } }
  /// What the keeper is told to show: `ATTEMPT CONTAINER REASON MESSAGE`.
  var shown: [String] {
    requests.compactMap { request in
      guard case .unprepared(let body, let container, let reason, let message, _) = request else { return nil }
      return [String(body.attempt), container, reason, message].filter { !$0.isEmpty }.joined(separator: " ")
    }
  }
  /// The images that preparations are given, by the manifest's words.
  var given: [[String: ImageRecord]] {
    compactMap { if case .prepare(_, _, let images) = $0 { images } else { nil } }
  }
  /// `REASON MESSAGE` of the Events that are told.
  var facts: [String] {
    sent.flatMap { message -> [String] in
      guard case .events(let facts) = message else { return [] }
      return facts.map { "\($0.reason) \($0.message)" }
    }
  }
  /// The lists of images that are told.
  var lists: [[NodeImage]] { sent.compactMap { if case .images(let images) = $0 { images } else { nil } } }
}
