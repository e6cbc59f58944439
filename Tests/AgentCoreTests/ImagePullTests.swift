// What the agent does about images, unhappy first: images that cannot be had, back-off, attempts that are stopped
// while they wait, sessions and agents that end; then policies, sharing and order.

import AgentCore
import ClusterProto
import Testing

@Suite("Images are fetched before a pod is prepared")
struct ImagePullTests {
  private let bb = imageContainer("main", "busybox:1")

  // MARK: Failures

  @Test("a name that is none is shown with the kubelet's words, fetches nothing, and is looked at again in a while")
  func invalid() {
    var bench = ImageBench()
    let effects = bench.assign(1, [imageContainer("main", "Busy Box")])
    #expect(effects.pulls.isEmpty && effects.preparations.isEmpty)
    #expect(
      effects.shown == [
        "1 main InvalidImageName Failed to apply default image tag \"Busy Box\": couldn't parse image name "
          + "\"Busy Box\": invalid reference format: repository name (library/Busy Box) must be lowercase"
      ])
    #expect(bench.live(9).fetched.isEmpty)
    #expect(bench.live(2).fetched == [1])
  }

  @Test("an image that may not be fetched and is not there is an error; one that comes by hand ends the wait at once")
  func never() {
    var bench = ImageBench()
    let effects = bench.assign(1, [imageContainer("main", "busybox:1", .never)])
    #expect(effects.pulls.isEmpty)
    #expect(
      effects.shown == [
        "1 main ErrImageNeverPull Container image \"busybox:1\" is not present with pull policy of Never"
      ])
    #expect(bench.send(.images([mongo])).preparations.isEmpty)
    #expect(bench.send(.images([mongo, busybox])).given == [["busybox:1": busybox]])
  }

  @Test(
    "a fetch that fails is ErrImagePull with the fetcher's words, then ImagePullBackOff, then tried with a new body")
  func failure() {
    var bench = ImageBench()
    #expect(bench.assign(1, [bb]).pulls.map(\.text) == ["docker.io/library/busybox:1"])
    bench.pass(500)
    #expect(bench.failed(1, "manifest unknown").shown == ["1 main ErrImagePull manifest unknown"])
    let later = bench.live(3)
    #expect(
      later.shown == [
        "1 main ImagePullBackOff Back-off pulling image \"busybox:1\": ErrImagePull: manifest unknown"
      ])
    #expect(later.pulls.isEmpty && later.fetched.isEmpty)
    #expect(bench.live(6).fetched.isEmpty)
    #expect(bench.live(2).fetched == [1])
    let again = bench.assign(1, [bb])
    #expect(again.pulls.map(\.number) == [2])
    // What went wrong is shown until it is known whether it still does.
    #expect(again.shown.isEmpty)
    #expect(bench.pulled(2, busybox).given == [["busybox:1": busybox]])
  }

  @Test("the pauses of a pod and an image double from 10 s to 300 s, and begin anew when nobody asked for long")
  func pauses() {
    var bench = ImageBench()
    var pauses: [Int64] = []
    bench.assign(1, [bb])
    for round in 1...8 {
      bench.failed(PullNumber(round))
      let failedAt = bench.agent.now
      while bench.live(1).fetched.isEmpty {}
      pauses.append((bench.agent.now - failedAt) / 1_000)
      bench.assign(1, [bb])
    }
    // Heartbeats are a second apart: each is seen up to a second late.
    let expected: [Int64] = [10, 20, 40, 80, 160, 300, 300, 300]
    #expect(zip(pauses, expected).allSatisfy { ($1...($1 + 1)).contains($0) }, "\(pauses)")
    bench.pulled(9, busybox)
    bench.agent.desired[1] = nil
    bench.live(601)
    bench.assign(2, [imageContainer("main", "busybox:1", .always)], uid: "uid-1")
    bench.failed(10)
    let failedAt = bench.agent.now
    while bench.live(1).fetched.isEmpty {}
    #expect((bench.agent.now - failedAt) / 1_000 <= 11)
  }

  @Test("another pod of the same image does not wait for the first one's pause, whose success ends it")
  func ownPauses() {
    var bench = ImageBench()
    bench.assign(1, [bb])
    bench.failed(1)
    #expect(bench.assign(2, [bb]).pulls.map(\.number) == [2])
    #expect(bench.pulled(2, busybox).preparations.map(\.attempt) == [1, 2])
  }

  @Test("of two images the one that failed is shown, the other is not fetched again with it")
  func oneOfTwo() {
    var bench = ImageBench()
    let pair = [imageContainer("a", "busybox", .always), imageContainer("b", "mongo:5")]
    #expect(bench.assign(1, pair).pulls.count == 2)
    #expect(bench.failed(2).shown == ["1 b ErrImagePull no route"])
    let latest = image("docker.io/library/busybox", tag: "latest")
    #expect(bench.pulled(1, latest).preparations.isEmpty)
    while bench.live(1).fetched.isEmpty {}
    #expect(bench.assign(1, pair).pulls.map(\.text) == ["docker.io/library/mongo:5"])
    #expect(bench.pulled(3, mongo).given == [["busybox": latest, "mongo:5": mongo]])
  }

  @Test("an error of any length is bounded")
  func longError() throws {
    var bench = ImageBench()
    bench.assign(1, [bb])
    let shown = try #require(bench.failed(1, String(repeating: "é", count: 100_000)).shown.first)
    #expect(shown.utf8.count < 2_200)
  }

  // MARK: Ends

  @Test("a stop while an image is fetched ends the fetch that nobody else waits for")
  func stop() {
    var bench = ImageBench()
    bench.assign(1, [bb])
    bench.assign(2, [bb])
    bench.agent.desired[1] = .stop(graceMilliseconds: 0)
    #expect(bench.live(1).cancels.isEmpty)
    bench.agent.desired[2] = .stop(graceMilliseconds: 0)
    let effects = bench.live(1)
    #expect(effects.cancels == [1])
    #expect(effects.requests.contains(.stop(2, graceMilliseconds: 0)))
    // What the fetcher says afterwards is stale.
    #expect(bench.pulled(1, busybox).preparations.isEmpty)
  }

  @Test("an attempt that is wanted no more stops waiting, and the keeper's entry of it with it")
  func unwanted() {
    var bench = ImageBench()
    bench.assign(1, [bb])
    bench.agent.keeper([report(1, phase: .pending, started: false)])
    bench.agent.desired[1] = nil
    let effects = bench.live(1)
    #expect(effects.cancels == [1])
    #expect(effects.requests.contains(.stop(1, graceMilliseconds: -1)))
  }

  @Test("a fetch outlives its session for a while: the next one's attempt goes on with it")
  func newSession() {
    var bench = ImageBench()
    bench.assign(1, [bb])
    #expect(bench.send(.coordinatorClosed(bench.agent.connection)).cancels.isEmpty)
    bench.pass(2_000)
    bench.agent.session = "session-b"
    bench.agent.register()
    #expect(bench.assign(2, [bb]).pulls.isEmpty)
    #expect(bench.pulled(1, busybox).preparations.map(\.attempt) == [2])
  }

  @Test("a fetch that no session asks for again is ended after a minute")
  func lingering() {
    var bench = ImageBench()
    bench.assign(1, [bb])
    bench.send(.coordinatorClosed(bench.agent.connection))
    #expect(bench.pass(59_000).cancels.isEmpty)
    #expect(bench.pass(2_000).cancels == [1])
  }

  @Test("a keeper that goes takes no fetch along")
  func keeperLost() {
    var bench = ImageBench()
    bench.assign(1, [bb])
    let number = bench.agent.keeperConnection
    #expect(bench.send(.keeperLost(number, reason: "gone")).cancels.isEmpty)
    bench.pass(100)
    bench.agent.connectKeeper()
    bench.agent.session = "session-b"
    bench.agent.register()
    #expect(bench.assign(2, [bb]).pulls.isEmpty)
    #expect(bench.pulled(1, busybox).preparations.map(\.attempt) == [2])
  }

  @Test("after a restart nothing is fetched before the node has said what it has, and what it has is not fetched")
  func restart() {
    var configuration = AgentBench.configuration
    configuration.images.mode = .on
    var agent = AgentBench(configuration)
    agent.begin()
    agent.desired = [1: .run, 2: .run]
    let bodies = [bb, imageContainer("main", "mongo:5")].enumerated().map { index, container in
      assignment(AttemptNumber(index + 1), spec: podSpec(containers: [container]))
    }
    let effects = agent.answer(assignments: bodies)
    #expect(effects.pulls.isEmpty && effects.preparations.isEmpty)
    #expect(effects.shown == ["1 ContainerCreating", "2 ContainerCreating"])
    let known = agent.send(.images([busybox]))
    #expect(known.given == [["busybox:1": busybox]])
    #expect(known.pulls.map(\.text) == ["docker.io/library/mongo:5"])
  }

  @Test("a fetch for ever holds up its own place alone")
  func forEver() {
    var bench = ImageBench(parallel: 2)
    bench.assign(1, [imageContainer("main", "slow:1")])
    bench.assign(2, [bb])
    bench.assign(3, [imageContainer("main", "mongo:5")])
    #expect(bench.ordered.count == 2)
    #expect(bench.pulled(2, busybox).pulls.map(\.text) == ["docker.io/library/mongo:5"])
    #expect(bench.live(600).preparations.isEmpty)
    #expect(bench.pulled(3, mongo).preparations.map(\.attempt) == [3])
    bench.agent.desired[1] = .stop(graceMilliseconds: 0)
    #expect(bench.live(1).cancels == [1])
  }

  // MARK: Policies

  @Test("an image that is there starts no fetch, says nothing of waiting, and is prepared at once")
  func present() {
    var bench = ImageBench([busybox])
    let effects = bench.assign(1, [bb])
    #expect(effects.pulls.isEmpty && effects.shown.isEmpty)
    #expect(effects.given == [["busybox:1": busybox]])
    #expect(bench.assign(2, [imageContainer("main", "docker.io/library/busybox:1", .never)]).given.count == 1)
    let digest = "busybox@\(hexDigest("a"))"
    #expect(bench.assign(3, [imageContainer("main", digest)]).given == [[digest: busybox]])
  }

  @Test("Always asks the registry although the image is there, and takes what the tag means now")
  func always() {
    var bench = ImageBench([busybox])
    #expect(bench.assign(1, [imageContainer("main", "busybox:1", .always)]).pulls.count == 1)
    let moved = image("docker.io/library/busybox", letter: "c")
    #expect(bench.pulled(1, moved).given == [["busybox:1": moved]])
    // The tag is the new image's from here on.
    #expect(bench.assign(2, [bb]).given == [["busybox:1": moved]])
  }

  @Test("a preparation that is tried again does not ask the registry again")
  func triedAgain() throws {
    var bench = ImageBench()
    let always = imageContainer("main", "busybox:1", .always)
    bench.assign(1, [always])
    bench.pulled(1, busybox)
    bench.send(
      .preparationFailed(
        1, number: try bench.agent.preparation(1), container: "", reason: "FailedMount", message: "m", retryable: true))
    while bench.live(1).fetched.isEmpty {}
    let effects = bench.assign(1, [always])
    #expect(effects.pulls.isEmpty)
    #expect(effects.given == [["busybox:1": busybox]])
  }

  @Test("host programs need no image, whatever else the pod has; without images nothing does")
  func host() {
    var bench = ImageBench()
    let effects = bench.assign(1, [imageContainer("main", "host", command: true)])
    #expect(effects.given == [[:]] && effects.pulls.isEmpty && effects.facts.isEmpty)
    let mixed = bench.assign(2, [bb, imageContainer("side", "host", command: true)])
    #expect(mixed.pulls.map(\.text) == ["docker.io/library/busybox:1"])
    #expect(bench.pulled(1, busybox).given == [["busybox:1": busybox]])
    var off = ImageBench { $0.mode = .off }
    #expect(off.assign(1, [bb]).given == [[:]])
    #expect(off.agent.all.lists.isEmpty)
  }

  // MARK: Sharing and order

  @Test("one fetch is for all who wait for the same, however they write it")
  func shared() {
    var bench = ImageBench()
    bench.assign(1, [bb])
    bench.assign(
      2, [imageContainer("main", "docker.io/busybox:1")], initContainers: [imageContainer("init", "busybox:1")])
    bench.assign(3, [imageContainer("main", "library/busybox:1", .always)])
    #expect(bench.ordered.count == 1)
    let effects = bench.pulled(1, busybox)
    #expect(effects.preparations.map(\.attempt) == [1, 2, 3])
    #expect(effects.given[1] == ["busybox:1": busybox, "docker.io/busybox:1": busybox])
  }

  @Test("at most three are fetched at once, the others in their order; one that is stopped loses its place")
  func order() {
    var bench = ImageBench()
    for number in 1...6 { bench.assign(AttemptNumber(number), [imageContainer("main", "image-\(number):1")]) }
    #expect(bench.ordered.keys.sorted() == [1, 2, 3])
    bench.agent.desired[4] = .stop(graceMilliseconds: 0)
    #expect(bench.live(1).cancels.isEmpty)
    #expect(bench.failed(2).pulls.map(\.text) == ["docker.io/library/image-5:1"])
    bench.agent.desired[1] = .stop(graceMilliseconds: 0)
    let effects = bench.live(1)
    #expect(effects.cancels == [1])
    #expect(effects.pulls.map(\.text) == ["docker.io/library/image-6:1"])
  }

  // MARK: What is told

  @Test("the Events of a pod are the kubelet's: Pulling, Pulled with both times and the size, or already present")
  func facts() {
    var bench = ImageBench(parallel: 1)
    #expect(bench.assign(1, [bb]).facts == ["Pulling Pulling image \"busybox:1\""])
    #expect(bench.assign(2, [imageContainer("main", "mongo:5")]).facts == ["Pulling Pulling image \"mongo:5\""])
    bench.pass(1_300)
    let words =
      "Pulled Successfully pulled image \"busybox:1\" in 1.2s (1.3s including waiting). Image size: 2222260 bytes."
    #expect(bench.pulled(1, busybox, milliseconds: 1_200, bytes: 2_222_260).facts == [words])
    #expect(
      bench.assign(3, [bb]).facts == ["Pulled Container image \"busybox:1\" already present on machine"])
  }

  @Test("a node that starts pods by the thousand tells a hundred Events at once and fifty a second")
  func manyFacts() {
    var bench = ImageBench([busybox])
    var told = 0
    for number in 1...300 { told += bench.assign(AttemptNumber(number), [bb]).facts.count }
    #expect(told == 100)
    bench.pass(1_000)
    for number in 301...400 { told += bench.assign(AttemptNumber(number), [bb]).facts.count }
    #expect(told == 150)
  }

  @Test("the coordinator is told of the images at each session and change: the largest, by digest and tag")
  func lists() {
    var bench = ImageBench([busybox])
    #expect(
      bench.agent.all.lists == [[NodeImage(names: busybox.digests + busybox.tags, bytes: busybox.bytes)]])
    bench.assign(1, [imageContainer("main", "mongo:5")])
    #expect(bench.pulled(1, mongo).lists.first?.count == 2)
    let many = (0..<80).map { index in
      image("docker.io/library/i\(index)", letter: "a", bytes: Int64(index)).with(id: "sha256:\(index)")
    }
    let shown = bench.send(.images(many)).lists.first
    #expect(shown?.count == 50)
    #expect(shown?.first?.bytes == 79 && shown?.last?.bytes == 30)
    bench.send(.coordinatorClosed(bench.agent.connection))
    bench.pass(2_000)
    bench.agent.session = "session-b"
    let opened = bench.send(.coordinatorOpened(bench.agent.connection))
    let registered = bench.agent.hear(
      .registered(
        session: "session-b", incarnation: 1, heartbeatMilliseconds: 1_000, leaseMilliseconds: 5_000, mark: ""))
    #expect((opened + registered).lists.first?.count == 50)
  }

  @Test("a plan says which image its containers run in, by digest; of an image from a file by its own id")
  func statuses() throws {
    let loaded = ImageRecord(
      id: hexDigest("d"), tags: ["docker.io/library/own:1"], layers: [hexDigest("d")],
      configuration: ImageConfiguration())
    var bench = ImageBench([busybox, loaded])
    let containers = [bb, imageContainer("own", "own:1"), imageContainer("side", "host", command: true)]
    bench.assign(1, containers)
    let body = assignment(spec: podSpec(containers: containers))
    let effects = bench.send(.prepared(1, number: try bench.agent.preparation(1), try plan(body)))
    guard case .start(_, let plan, _)? = effects.requests.last else {
      Issue.record("no start")
      return
    }
    #expect(
      plan.containers.map(\.shownImage) == [
        PodPlan.ShownImage(
          name: "docker.io/library/busybox:1", id: "docker.io/library/busybox@\(hexDigest("a"))"),
        PodPlan.ShownImage(name: "docker.io/library/own:1", id: hexDigest("d")), nil,
      ])
    let copy = try KeeperRequest(json: try JSON(parsing: try #require(effects.requests.last).json.text))
    #expect(copy == effects.requests.last)
  }

  @Test("attempts, stops, ends of sessions and fetches in any order leave no fetch without somebody who waits")
  func anyOrder() {
    for seed in 1...40 as ClosedRange<UInt64> {
      var random = SplitMix64(seed: seed)
      var bench = ImageBench(random.below(2) == 0 ? [] : [busybox], parallel: Int(random.below(3)) + 1)
      var next: AttemptNumber = 1
      for _ in 0..<150 {
        let pull = PullNumber(random.below(UInt64(bench.ordered.count + 1)))
        switch random.below(9) {
        case 0, 1, 2:
          let names = ["busybox:1", "mongo:5", "BAD", "a:1", "b:1", "host"]
          let policies: [ImagePullPolicy] = [.always, .ifNotPresent, .never]
          let containers = (0...random.below(2)).map { index in
            imageContainer("c\(index)", names[Int(random.below(6))], policies[Int(random.below(3))])
          }
          bench.assign(next, containers)
          next += 1
        case 3: if next > 1 { bench.agent.desired[1 + Int64(random.below(UInt64(next - 1)))] = nil }
        case 4: bench.pulled(pull, random.below(2) == 0 ? busybox : mongo)
        case 5: bench.failed(pull)
        case 6: bench.live(Int(random.below(20)))
        case 7: bench.send(.images(random.below(2) == 0 ? [] : [mongo]))
        default:
          bench.send(.coordinatorClosed(bench.agent.connection))
          bench.pass(3_000)
          bench.agent.session += "'"
          bench.agent.register()
        }
      }
      bench.agent.desired = [:]
      bench.live(2)
      bench.pass(61_000)
      #expect(bench.agent.core.imagesAwaited == 0)
    }
  }
}

extension ImageRecord {
  fileprivate func with(id: String) -> ImageRecord {
    var record = self
    record.id = id
    record.tags = ["docker.io/library/\(id.replacing(":", with: "-")):1"]
    record.digests = []
    return record
  }
}
