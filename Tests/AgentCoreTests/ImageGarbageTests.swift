// Which images go when the disk fills up or nobody uses them, and which never do.

import AgentCore
import ClusterProto
import Testing

@Suite("Images that nobody uses are removed")
struct ImageGarbageTests {
  private static let total: UInt64 = 1_000_000

  /// A disk of that many percent in use.
  private func room(used percent: UInt64) -> DiskRoom {
    DiskRoom(availableBytes: Self.total / 100 * (100 - percent), totalBytes: Self.total)
  }

  private func named(_ letter: String, bytes: Int64 = 30_000) -> ImageRecord {
    image("docker.io/library/i\(letter)", letter: letter, bytes: bytes)
  }

  /// A node with these images and so full a disk, from the second heartbeat on.
  private func bench(
    _ images: [ImageRecord], used percent: UInt64, _ change: (inout ImageSettings) -> Void = { _ in }
  ) -> ImageBench {
    var bench = ImageBench(images, change)
    bench.live(1)
    bench.agent.room = room(used: percent)
    return bench
  }

  @Test("below the mark nothing goes, at the mark as much as brings the disk below the other")
  func marks() {
    let images = ["a", "b", "c"].map { named($0) }
    var calm = bench(images, used: 84)
    #expect(calm.live(700).removals.isEmpty)
    // 85 % of 1,000,000 down to 80 %: 50,000 bytes, two images of 30,000.
    var full = bench(images, used: 85)
    #expect(full.live(1).removals.count == 2)
  }

  @Test("the one that was unused for longest goes first")
  func order() {
    var bench = bench(["a", "b", "c"].map { named($0) }, used: 50)
    for (number, letter) in ["a", "c"].enumerated() {
      let attempt = AttemptNumber(number + 1)
      bench.assign(attempt, [imageContainer("main", "i\(letter):1")])
      bench.live(1)
      bench.agent.desired[attempt] = .stop(graceMilliseconds: 0)
      bench.live(1)
    }
    bench.agent.room = room(used: 90)
    // It is looked again ten seconds after the last look.
    #expect(bench.live(8).removals == [hexDigest("b"), hexDigest("a"), hexDigest("c")])
  }

  @Test("an image in use never goes: of a pod that runs, is prepared, or waits for another image")
  func inUse() {
    var bench = bench(["a", "b", "c", "d"].map { named($0) }, used: 50)
    bench.assign(1, [imageContainer("main", "ia:1"), imageContainer("side", "slow:1")])
    bench.assign(2, [imageContainer("main", "ib:1")])
    var running = report(3)
    running.status.containers = [
      ContainerStatus(
        name: "main", image: "docker.io/library/ic:1", imageID: "docker.io/library/ic@\(hexDigest("c"))",
        state: .running(startedAt: at(0).wall))
    ]
    bench.agent.desired[3] = .run
    bench.agent.keeper([running])
    bench.agent.room = room(used: 99)
    #expect(bench.live(30).removals == [hexDigest("d")])
    // Over, it is nobody's.
    running.revision = 2
    running.status.phase = .succeeded
    bench.agent.keeper([running])
    #expect(bench.live(30).removals == [hexDigest("c")])
  }

  @Test("an image that came a moment ago stays for two minutes")
  func young() {
    var bench = bench([], used: 50)
    bench.assign(1, [imageContainer("main", "ia:1")])
    bench.pulled(1, named("a"))
    bench.agent.desired[1] = .stop(graceMilliseconds: 0)
    bench.agent.room = room(used: 99)
    #expect(bench.live(115).removals.isEmpty)
    #expect(bench.live(20).removals == [hexDigest("a")])
  }

  @Test("an image that is asked to go is found by nobody, also by a list from before; pulled again it is there")
  func leaving() {
    var bench = bench([named("a")], used: 99)
    #expect(bench.live(1).removals == [hexDigest("a")])
    bench.agent.room = room(used: 50)
    bench.send(.images([named("a")]))
    #expect(bench.assign(1, [imageContainer("main", "ia:1")]).pulls.count == 1)
    #expect(bench.pulled(1, named("a")).given.count == 1)
  }

  @Test("an image that nobody used for the maximum age goes, whatever room there is; without one it stays")
  func age() {
    var bench = bench([named("a"), named("b")], used: 10) { $0.maximumAgeMilliseconds = 3_600_000 }
    bench.live(1_800)
    bench.assign(1, [imageContainer("main", "ia:1")])
    bench.agent.desired[1] = .stop(graceMilliseconds: 0)
    #expect(bench.live(2_100).removals == [hexDigest("b")])
    #expect(bench.live(2_100).removals == [hexDigest("a")])
    var none = self.bench([named("a")], used: 10)
    #expect(none.live(8_000).removals.isEmpty)
  }

  @Test("without images nothing is removed, and a disk that says nonsense removes nothing")
  func nonsense() {
    var off = bench([named("a")], used: 99) { $0.mode = .off }
    #expect(off.live(400).removals.isEmpty)
    var odd = bench([named("a")], used: 50)
    for room in [
      DiskRoom(availableBytes: 0, totalBytes: 0), DiskRoom(availableBytes: .max, totalBytes: 1),
      DiskRoom(availableBytes: .max, totalBytes: .max),
    ] {
      odd.agent.room = room
      #expect(odd.live(12).removals.isEmpty)
    }
    odd.agent.room = DiskRoom(availableBytes: 0, totalBytes: .max)
    #expect(odd.live(12).removals == [hexDigest("a")])
  }
}
