// Probes and hooks in simulated worlds: what users ask of their containers, and how these answer: at once, late, not at
// all. Draws from generators of their own, so that worlds without them stay as they are. In half of those that have
// them no answer ends a container, and what a Job comes to is its program's doing alone; in the others probes of life
// and of starting fail, too.

import AgentCore
import ClusterProto

/// What a user asks of a container.
struct WishedCare {
  private static let word = "answer"
  private var members: JSON = .object(JSONObject())
  private var pace = Pace.busy

  init() {}

  /// Draws it: of three containers one has none. `ends`: some answers end the container.
  init(_ random: inout SplitMix64, ends: Bool, pace: Pace) {
    self.pace = pace
    if random.below(3) == 0 { return }
    if random.below(2) == 0 { members["readinessProbe"] = probe(failing: Int64(random.below(40)), seconds: 1) }
    if random.below(3) == 0 { members["startupProbe"] = ends ? deadly : probe(failing: 0, seconds: 600) }
    if random.below(3) == 0 { members["livenessProbe"] = ends ? deadly : probe(failing: 0, seconds: 600) }
    var lifecycle: JSON = .object(JSONObject())
    if random.below(4) == 0 { lifecycle["postStart"] = Self.action(failing: 0) }
    if random.below(2) == 0 { lifecycle["preStop"] = Self.action(failing: 20) }
    if lifecycle.objectValue?.isEmpty == false { members["lifecycle"] = lifecycle }
  }

  private static func action(failing percent: Int64) -> JSON {
    ["exec": ["command": [.string(word), .string(String(percent))]]]
  }

  /// One failure ends the container.
  private var deadly: JSON {
    var probe = probe(failing: 3, seconds: 2)
    probe["periodSeconds"] = .int(20 * pace.rarity)
    probe["failureThreshold"] = 1
    return probe
  }

  private func probe(failing percent: Int64, seconds: Int64) -> JSON {
    var probe = Self.action(failing: percent)
    probe["periodSeconds"] = .int(3 * pace.rarity)
    probe["timeoutSeconds"] = .int(seconds)
    probe["failureThreshold"] = 5
    return probe
  }

  func add(to container: inout JSON) {
    for (name, member) in members.objectValue ?? JSONObject() { container[name] = member }
  }

  /// In how many of a hundred an action fails; nil: it is none of these.
  static func failing(_ action: CareAction) -> Int64? {
    guard case .exec(let command) = action, command.count == 2, command[0] == word else { return nil }
    return Int64(command[1])
  }
}

/// How the containers of one node answer.
struct SimCare {
  private var random: SplitMix64
  private(set) var count = 0
  private var isHealed = false

  /// Nothing fails any more.
  mutating func heal() { isHealed = true }

  init(seed: UInt64, node: Int) { random = SplitMix64(seed: seed &* 1_000_003 &+ UInt64(node)) }

  /// After how many microseconds what comes; nil: nothing, before it is given up.
  mutating func answer(_ check: Check) -> (after: TrueTime, CheckAnswer)? {
    count += 1
    let percent = isHealed ? 0 : WishedCare.failing(check.action) ?? 0
    // What must pass does, in the time that it has.
    if percent > 0, random.below(10) == 0 { return nil }
    let code: Int64 = random.below(100) < UInt64(percent) ? 1 : 0
    return (TrueTime(500 + random.below(1_500_000)), .exited(code: code, output: ""))
  }
}
