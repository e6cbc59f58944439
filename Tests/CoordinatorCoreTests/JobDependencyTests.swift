// Jobs that wait for other Jobs: `stint.dev/depends-on`.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs that wait for other Jobs")
struct JobDependencyTests {
  private func on(_ text: String) -> StringMap { [JobAnnotation.dependsOn: text] }

  private func admission(_ driver: WorkloadsDriver, _ name: String) throws -> String {
    let condition = try driver.status(name).condition(JobAdmission.condition)
    return condition.map { "\($0.status) \($0.reason): \($0.message)" } ?? "none"
  }

  private func finish(_ driver: inout WorkloadsDriver, _ name: String, succeeded: Bool = true) throws {
    driver.end(try #require(driver.activePods(name).first), succeeded: succeeded)
  }

  @Test("a Job waits without pods, start or deadline until the other has succeeded, and says so")
  func waits() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a")
    driver.createJob("b", annotations: on("a"), ["activeDeadlineSeconds": 60])
    driver.advance(seconds: 600)
    #expect(driver.pods("b").isEmpty)
    #expect(try driver.status("b").startTime == nil)
    #expect(try admission(driver, "b") == "False WaitingForJobs: The Job waits for the success of Job a")
    #expect(driver.events("b") == ["WaitingForJobs The Job waits for the success of Job a"])
    #expect(JobCells.status(try driver.job("b")) == "Waiting")
    try driver.restart()
    #expect(driver.pods("b").isEmpty)
    try finish(&driver, "a")
    #expect(driver.activePods("b").count == 1)
    #expect(try admission(driver, "b") == "True Admitted: The Job waits for nothing")
    #expect(try driver.status("b").startTime == driver.core.stamp)
    try finish(&driver, "b")
    #expect(try driver.reason("b", "Complete") == "CompletionsReached")
  }

  @Test("a Job without the annotation has no condition, and is not asked for a while")
  func plain() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a")
    #expect(try admission(driver, "a") == "none")
  }

  @Test(
    "success, failure and any are met by what they say and by nothing else",
    arguments: [
      ("a", true, true), ("a", false, false), ("a:success", true, true), ("a:failure", false, true),
      ("a:failure", true, false), ("a:any", true, true), ("a:any", false, true),
    ])
  func outcomes(_ text: String, _ succeeds: Bool, _ isMet: Bool) throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a", ["backoffLimit": 0])
    driver.createJob("b", annotations: on(text))
    try finish(&driver, "a", succeeded: succeeds)
    #expect(driver.pods("b").count == (isMet ? 1 : 0))
    #expect(try driver.reason("b", "Failed") == (isMet ? nil : "DependencyNeverMet"))
    if !isMet {
      let why =
        succeeds
        ? "Job a has succeeded, and this one asks for its failure"
        : "Job a has failed (BackoffLimitExceeded), and this one asks for its success"
      #expect(try driver.status("b").condition("Failed")?.message == why)
      #expect(driver.events("b").contains("DependencyNeverMet \(why)"))
    }
  }

  @Test(
    "all of several Jobs have to end as asked, and what has come is remembered when they are deleted, across restarts")
  func several() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a", ["ttlSecondsAfterFinished": 0])
    driver.createJob("c", ["backoffLimit": 0])
    driver.createJob("b", annotations: on("a, c:any"))
    try finish(&driver, "a")
    driver.advance(seconds: 5)
    #expect(!driver.exists("a"))
    #expect(try admission(driver, "b") == "False WaitingForJobs: The Job waits for the end of Job c")
    try driver.restart()
    #expect(try admission(driver, "b") == "False WaitingForJobs: The Job waits for the end of Job c")
    try finish(&driver, "c", succeeded: false)
    #expect(driver.activePods("b").count == 1)
    driver.deleteJob("b", .background)
    #expect(driver.jobRecord("uid-b") == nil)
  }

  @Test("a Job that is deleted as it ends, before anybody has looked, counts all the same")
  func deletedAtOnce() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a", ["backoffLimit": 0])
    driver.createJob("b", annotations: on("a"))
    driver.createJob("c", annotations: on("a:failure"))
    let stamp = driver.core.stamp
    driver.core.updateJob(WorkloadsDriver.key("a")) { job in
      job.status.conditions.append(
        Condition(type: "Failed", status: "True", reason: "Gone", lastTransition: stamp))
    }
    driver.core.erase(ObjectReference(kind: .jobs, key: WorkloadsDriver.key("a")))
    driver.settle()
    #expect(try driver.reason("b", "Failed") == "DependencyNeverMet")
    #expect(driver.activePods("c").count == 1)
  }

  @Test("a missing Job is waited for by name, and one that is deleted before its end is missing again")
  func missing() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("b", annotations: on("a"))
    let text = "False WaitingForJobs: The Job waits for the success of Job a, which does not exist"
    #expect(try admission(driver, "b") == text)
    driver.createJob("a")
    #expect(try admission(driver, "b") == "False WaitingForJobs: The Job waits for the success of Job a")
    driver.deleteJob("a", .background)
    driver.advance(seconds: 60)
    #expect(try admission(driver, "b") == text)
    #expect(driver.pods("b").isEmpty)
    driver.createJob("a")
    try finish(&driver, "a")
    #expect(driver.activePods("b").count == 1)
  }

  @Test("a suspended Job does not fail of its dependency before it is resumed, and then waits for it")
  func suspended() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a")
    driver.createJob("b", annotations: on("a"), ["suspend": true])
    #expect(try admission(driver, "b") == "none")
    driver.editJob("b", ["suspend": false])
    #expect(try admission(driver, "b").hasPrefix("False WaitingForJobs"))
    #expect(try driver.status("b").startTime == nil)
    driver.editJob("b", ["suspend": true])
    try finish(&driver, "a")
    #expect(driver.pods("b").isEmpty)
    driver.editJob("b", ["suspend": false])
    #expect(driver.activePods("b").count == 1)
    #expect(try driver.status("b").startTime != nil)
  }

  @Test("a waiting Job whose annotation is taken away begins")
  func takenAway() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("b", annotations: on("a"))
    driver.annotateJob("b", JobAnnotation.dependsOn, nil)
    #expect(driver.activePods("b").count == 1)
  }

  // MARK: Indexes

  private static let indexed: [String: JSON] = ["completionMode": "Indexed", "completions": 4, "parallelism": 4]

  private func indexes(_ driver: WorkloadsDriver, _ name: String) -> [Int64] {
    driver.activePods(name).compactMap { Slot.index(of: $0) }.sorted()
  }

  private func end(_ driver: inout WorkloadsDriver, _ name: String, _ index: Int64, succeeded: Bool = true) throws {
    driver.end(
      try #require(driver.activePods(name).first { Slot.index(of: $0) == index }), succeeded: succeeded)
  }

  @Test("an index begins when the index of its number has succeeded, in any order and across restarts")
  func eachIndex() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a", Self.indexed)
    driver.createJob("b", annotations: on("a[*]"), Self.indexed)
    #expect(try admission(driver, "b") == "False WaitingForJobs: The Job waits for the success of indexes of Job a")
    try end(&driver, "a", 2)
    #expect(indexes(driver, "b") == [2])
    try driver.restart()
    try end(&driver, "a", 0)
    #expect(indexes(driver, "b") == [0, 2])
    try end(&driver, "b", 0)
    try end(&driver, "b", 2)
    #expect(indexes(driver, "b") == [])
    try end(&driver, "a", 1)
    try end(&driver, "a", 3)
    driver.deleteJob("a", .background)
    try driver.restart()
    #expect(indexes(driver, "b") == [1, 3])
    try end(&driver, "b", 1)
    try end(&driver, "b", 3)
    #expect(try driver.reason("b", "Complete") == "CompletionsReached")
    #expect(driver.core.forgottenIndex(of: try driver.job("b")) == nil)
  }

  @Test("an index whose other has failed fails without a pod, where indexes fail by themselves")
  func failedIndex() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a", Self.indexed.merging(["backoffLimitPerIndex": 0]) { $1 })
    driver.createJob("b", annotations: on("a[*]"), Self.indexed.merging(["backoffLimitPerIndex": 0]) { $1 })
    try end(&driver, "a", 1, succeeded: false)
    try end(&driver, "a", 0)
    #expect(indexes(driver, "b") == [0])
    #expect(try driver.status("b").failedIndexes?.text == "1")
    try end(&driver, "a", 2)
    try end(&driver, "a", 3)
    for index: Int64 in [0, 2, 3] { try end(&driver, "b", index) }
    #expect(try driver.reason("b", "Failed") == "FailedIndexes")
    #expect(try driver.status("b").completedIndexes.text == "0,2,3")
    #expect(try driver.status("b").failed == 0)
  }

  @Test("without a limit for each index the Job fails, and its pods go")
  func failedWhole() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a", Self.indexed.merging(["backoffLimitPerIndex": 0]) { $1 })
    driver.createJob("b", annotations: on("a[*]"), Self.indexed)
    try end(&driver, "a", 0)
    try end(&driver, "a", 1, succeeded: false)
    #expect(driver.activePods("b").isEmpty)
    driver.advance(seconds: 60)
    #expect(try driver.reason("b", "FailureTarget") == "DependencyNeverMet")
    #expect(
      try driver.status("b").condition("FailureTarget")?.message
        == "Index 1 waits for the success of indexes of Job a with its number, which cannot come any more")
  }

  @Test("an index that the other Job does not have, or a Job without indexes, is never met")
  func noSuchIndex() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("a")
    driver.createJob("b", annotations: on("a[*]:any"), Self.indexed)
    #expect(try driver.reason("b", "Failed") == "DependencyNeverMet")
    driver.createJob("c", ["completionMode": "Indexed", "completions": 2, "parallelism": 2])
    driver.createJob("d", annotations: on("c[*]:any"), Self.indexed)
    try end(&driver, "c", 0)
    try end(&driver, "c", 1)
    #expect(try driver.reason("d", "FailureTarget") == "DependencyNeverMet")
  }

  // MARK: Cost and the API

  @Test("an end wakes those that wait for it, and no others")
  func cost() throws {
    var driver = try WorkloadsDriver()
    for number in 0..<200 { driver.createJob("w\(number)", annotations: on("a\(number)")) }
    driver.createJob("a7")
    let stamp = driver.core.stamp
    driver.core.updateJob(WorkloadsDriver.key("a7")) { job in
      job.status.conditions.append(
        Condition(type: "Complete", status: "True", reason: "x", lastTransition: stamp))
    }
    #expect(driver.core.workloads.jobs.count <= 2, "the Job and the one that waits for it")
  }

  @Test(
    "a text that names no Jobs is refused",
    arguments: [
      ("", "must be a list of JOB"), ("a,", "must be a list of JOB"), ("A", "must be a list of JOB"),
      ("a:done", "behind the colon must stand success, failure or any"), ("a:", "behind the colon"),
      ("a,a:any", "a stands twice"), ("a[*]", "[*] requires indexed completion mode"), ("a[1]", "must be a list"),
      ((0...64).map { "a\($0)" }.joined(separator: ","), "must name no more than 64 Jobs"),
    ])
  func refused(_ text: String, _ why: String) throws {
    let harness = try APIHarness()
    var job = Manifest.job("j")
    job[path: ["metadata", "annotations"]] = on(text).json
    let answer = harness.create(.jobs, job)
    #expect(answer.code == 422 && answer.message.contains("metadata.annotations[stint.dev/depends-on]"))
    #expect(answer.message.contains(why), "\(answer.message)")
  }

  @Test("a circle is refused where it would close, by create and by update, and named")
  func circles() throws {
    let harness = try APIHarness()
    func job(_ name: String, _ text: String?) -> JSON {
      var job = Manifest.job(name)
      if let text { job[path: ["metadata", "annotations"]] = on(text).json }
      return job
    }
    let own = harness.create(.jobs, job("s", "s:any"))
    #expect(own.code == 422 && own.message.contains("makes a circle: s waits for s"), "\(own.message)")
    #expect(harness.create(.jobs, job("a", "b")).code == 201)
    #expect(harness.create(.jobs, job("b", "x,c:any")).code == 201)
    let made = harness.create(.jobs, job("c", "y,a"))
    #expect(made.code == 422, "\(made.message)")
    #expect(made.message.contains("makes a circle: c waits for a waits for b waits for c"), "\(made.message)")
    #expect(harness.create(.jobs, job("c", "y")).code == 201)
    let patched = harness.patch(
      .jobs, "c", .merge, ["metadata": ["annotations": ["stint.dev/depends-on": "y,a"]]])
    #expect(patched.code == 422 && patched.message.contains("makes a circle"), "\(patched.message)")
    let free = harness.patch(.jobs, "c", .merge, ["metadata": ["annotations": ["stint.dev/depends-on": .null]]])
    #expect(free.code == 200, "\(free.message)")
    let late = harness.patch(.jobs, "c", .merge, ["metadata": ["annotations": ["stint.dev/depends-on": "z"]]])
    #expect(late.code == 422 && late.message.contains("may not change any more"), "\(late.message)")
  }

  @Test("only the coordinator writes whether a Job is admitted")
  func ownCondition() throws {
    let harness = try APIHarness()
    var job = Manifest.job("b")
    job[path: ["metadata", "annotations"]] = on("a").json
    harness.create(.jobs, job)
    let written = harness.patch(
      .jobs, "b", .merge,
      ["status": ["conditions": [["type": "stint.dev/Admitted", "status": "True", "reason": "x"]]]],
      subresource: "status")
    #expect(written.code == 200, "\(written.message)")
    let conditions = harness.get(.jobs, "b").object[path: ["status", "conditions"]]?.arrayValue ?? []
    #expect(conditions.map { $0["status"]?.stringValue } == ["False"])
    #expect(harness.list(.pods).items.isEmpty)
  }
}
