// The images of one simulated machine, and who fetches them: slow, failing, for ever. They stay when the agent dies;
// what is being fetched does not. Draws from a generator of its own, so that worlds without images stay as they are.
// Holds that an attempt is prepared with images that are whole here, and that no image goes while a pod has it.

import AgentCore
import ClusterProto

final class SimImages {
  private let world: World
  private let node: Int
  private var random: SplitMix64
  private var records: [String: ImageRecord] = [:]
  /// Fetches of the present agent.
  private var running: Set<PullNumber> = []
  /// Those that have ended, and whose word an agent that stands still has not heard.
  private var untold: Set<PullNumber> = []
  /// What attempts were prepared with, until they are over.
  private var given: [AttemptNumber: Set<String>] = [:]
  private var agent = 0
  /// Nothing fails any more, and what hung goes on.
  private var isHealed = false
  private var hanging: [() -> Void] = []
  private(set) var pulls = 0
  /// To the agent that runs now.
  var tell: ((AgentEvent) -> Void)?

  static let parallel = 2

  init(world: World, node: Int, seed: UInt64) {
    self.world = world
    self.node = node
    random = SplitMix64(seed: seed &* 31 &+ UInt64(node) &+ 77)
  }

  private func pick(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + Int64(random.below(UInt64(range.upperBound - range.lowerBound + 1)))
  }

  private func chance(_ percent: UInt64) -> Bool { random.below(100) < percent }

  private var list: [ImageRecord] { records.keys.sorted().compactMap { records[$0] } }

  func heal() {
    isHealed = true
    let work = hanging
    hanging = []
    for item in work { item() }
  }

  /// Settings of an agent that begins here, and soon what it has.
  func begin() -> ImageSettings {
    agentEnded()
    var settings = ImageSettings()
    settings.mode = .on
    settings.parallelPulls = Self.parallel
    if chance(30) { settings.maximumAgeMilliseconds = pick(120_000...1_200_000) * world.pace.rarity }
    later(pick(1_000...2_000_000)) { [self] in tell?(.images(list)) }
    return settings
  }

  func agentEnded() {
    agent += 1
    running = []
    untold = []
  }

  private func later(_ delay: TrueTime, _ work: @escaping () -> Void) {
    let current = agent
    world.after(delay) { [self] in if agent == current { work() } }
  }

  /// How full the disk is said to be: full enough for images to go now and then.
  func room() -> DiskRoom {
    let total: UInt64 = 1 << 40
    return DiskRoom(availableBytes: total / 100 * UInt64(pick(5...60)), totalBytes: total)
  }

  func pull(_ number: PullNumber, _ reference: ImageReference) {
    pulls += 1
    running.insert(number)
    if running.count > Self.parallel { world.violated("I20: node \(node) fetches \(running.count) images at once") }
    world.record("node \(node) fetches \(reference.text)")
    let end = { [self] in
      guard running.remove(number) != nil else { return }
      untold.insert(number)
      if !isHealed, chance(30) {
        tell?(.imagePullFailed(number, message: "reading manifest: connection refused"))
      } else {
        let record = record(reference)
        records[record.id] = record
        tell?(.imagePulled(number, record, milliseconds: pick(0...30_000), bytes: 1_000))
      }
    }
    let current = agent
    if !isHealed, chance(5) {
      hanging.append { [self] in if agent == current { end() } }
    } else {
      later(chance(50) ? pick(1_000...200_000) : pick(200_000...60_000_000), end)
    }
  }

  /// A tag moves now and then.
  private func record(_ reference: ImageReference) -> ImageRecord {
    let id = "sha256:\(reference.repository)-\(chance(20) ? pick(1...3) : 0)"
    return ImageRecord(
      id: id, tags: [reference.text], digests: ["\(reference.name)@\(id)"], bytes: 1 << 34, layers: [id],
      configuration: ImageConfiguration())
  }

  /// The agent has heard how the fetch ended.
  func told(_ number: PullNumber) { untold.remove(number) }

  func cancel(_ number: PullNumber) {
    if running.remove(number) == nil, !untold.contains(number) {
      world.violated("I20: node \(node) ends fetch \(number), which does not go on")
    }
  }

  func remove(_ id: String) {
    for attempt in given.keys.sorted() where given[attempt]?.contains(id) == true {
      world.violated("I20: node \(node) removes image \(id), which attempt \(attempt) has")
    }
    world.record("node \(node) removes \(id)")
    records[id] = nil
    later(pick(1_000...1_000_000)) { [self] in tell?(.images(list)) }
  }

  /// An attempt is prepared with these.
  func prepare(_ assignment: Assignment, _ images: [String: ImageRecord]) {
    for container in assignment.spec.initContainers + assignment.spec.containers
    where !ImageReference.isHost(container.image) {
      guard let record = images[container.image], records[record.id] != nil else {
        world.violated("I20: node \(node) prepares attempt \(assignment.attempt) without its image \(container.image)")
        continue
      }
      given[assignment.attempt, default: []].insert(record.id)
    }
  }

  /// It is over, or was given up before it began.
  func release(_ attempt: AttemptNumber) { given[attempt] = nil }

  func releaseAll(but attempts: [AttemptNumber]) {
    let kept = Set(attempts)
    given = given.filter { kept.contains($0.key) }
  }
}
