// The wall clock is set while no coordinator runs: limits that count from stamps go on as if it had not been.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("A wall clock that jumps over a restart")
struct WallClockTests {
  private static let day: Int64 = 86_400

  private func driver() throws -> WorkloadsDriver {
    var configuration = CoordinatorConfiguration()
    configuration.bootID = "boot"
    return try WorkloadsDriver(configuration)
  }

  @Test(
    "an active deadline counts what passed, not what the clock was set",
    arguments: [day, -day, 3_600, -3_600, 250 * 365 * day, -300 * 365 * day])
  func deadline(jump: Int64) throws {
    var driver = try driver()
    driver.createJob("limited", ["activeDeadlineSeconds": 60])
    driver.advance(seconds: 20)
    try driver.restart(away: 10, setting: jump)
    driver.advance(seconds: 20)
    #expect(try driver.status("limited").conditions.isEmpty)
    // And once more: the stamps are still those of before.
    try driver.restart(away: 5)
    driver.advance(seconds: 1)
    #expect(try driver.status("limited").conditions.isEmpty)
  }

  @Test("set ahead by a day, the deadline still ends the Job when its time has passed")
  func deadlineEnds() throws {
    var driver = try driver()
    driver.createJob("limited", ["activeDeadlineSeconds": 60])
    driver.advance(seconds: 20)
    try driver.restart(away: 10, setting: Self.day)
    driver.advance(seconds: 29)
    #expect(try driver.status("limited").conditions.isEmpty)
    driver.advance(seconds: 2)
    #expect(try driver.reason("limited", "Failed") == "DeadlineExceeded")
  }

  @Test("after a boot of the machine the wall clock is all there is")
  func otherBoot() throws {
    var driver = try driver()
    driver.createJob("limited", ["activeDeadlineSeconds": 60])
    driver.configuration.bootID = "another"
    try driver.restart(away: 10, setting: Self.day)
    #expect(try driver.reason("limited", "Failed") == "DeadlineExceeded")
  }

  @Test("the offset is written when the clock is set, not with each step")
  func writes() throws {
    var driver = try driver()
    let first = driver.fact("clock")
    #expect(first != nil)
    driver.advance(seconds: 30)
    #expect(driver.fact("clock") == first)
    driver.now.wall = driver.now.wall.adding(milliseconds: 3_600_000)
    driver.settle()
    #expect(driver.fact("clock") != first)
  }

  @Test(
    "a coordinator starts, runs a Job and starts again whatever its clock says",
    arguments: [Int64.min, -1, 0, 1, 9_100_000_000_000_000_000, Int64.max])
  func anyClock(wall: Int64) throws {
    var driver = try driver()
    driver.now.wall = WallTime(nanoseconds: wall)
    try driver.restart()
    driver.createJob("limited", ["activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 5])
    driver.advance(seconds: 30)
    #expect(try driver.status("limited").conditions.isEmpty)
    try driver.restart(away: 10)
    driver.advance(seconds: 70)
    #expect(driver.core.state.jobs[WorkloadsDriver.key("limited")] == nil)
  }
}
