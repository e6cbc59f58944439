// Indexed Jobs: names and labels of their pods, which index comes next, each index counted once, elastic changes,
// limits and pauses of each index.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Jobs: indexes")
struct WorkloadsIndexedTests {
  @Test("of a Job with chosen indexes only these run, under their numbers; the others count as succeeded")
  func chosen() throws {
    var driver = try WorkloadsDriver()
    driver.createJob(
      "j", annotations: [JobAnnotation.indexes: "1,4"],
      ["completionMode": "Indexed", "completions": 6, "parallelism": 6])
    #expect(driver.activePods("j").compactMap { Slot.index(of: $0) }.sorted() == [1, 4])
    #expect(try driver.status("j").json["completedIndexes"] == "0,2,3,5")
    try driver.restart()
    driver.end(driver.activePods("j")[0], succeeded: true)
    #expect(try driver.status("j").condition("Complete") == nil)
    driver.end(driver.activePods("j")[0], succeeded: true)
    let status = try driver.status("j")
    #expect(status.condition("Complete")?.isTrue == true && status.succeeded == 6)
    #expect(driver.pods("j").count == 2)
  }

  @Test("an elastic Job with chosen indexes runs none that was not chosen, however it shrinks and grows")
  func chosenElastic() throws {
    var driver = try WorkloadsDriver()
    driver.createJob(
      "j", annotations: [JobAnnotation.indexes: "1,4"],
      ["completionMode": "Indexed", "completions": 6, "parallelism": 6])
    driver.editJob("j", ["completions": 3, "parallelism": 3])
    #expect(driver.activePods("j").compactMap { Slot.index(of: $0) } == [1])
    driver.editJob("j", ["completions": 9, "parallelism": 9])
    #expect(driver.activePods("j").compactMap { Slot.index(of: $0) }.sorted() == [1, 4])
    #expect(try driver.status("j").succeeded == 7)
  }

  private func index(_ pod: Pod) -> String { pod.meta.annotations["batch.kubernetes.io/job-completion-index"] ?? "" }

  private func pod(_ driver: WorkloadsDriver, _ job: String, _ index: Int) throws -> Pod {
    try #require(driver.activePods(job).first { self.index($0) == String(index) }, "no active pod of index \(index)")
  }

  private func active(_ driver: WorkloadsDriver, _ job: String) -> [String] {
    driver.activePods(job).map { index($0) }.sorted()
  }

  @Test("a pod of an index has the index in its name, its host name, a label, an annotation and a variable")
  func pods() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("many", ["completionMode": "Indexed", "completions": 3, "parallelism": 2])
    #expect(active(driver, "many") == ["0", "1"])
    let pod = try pod(driver, "many", 1)
    #expect(pod.meta.name.hasPrefix("many-1-") && pod.meta.name.utf8.count == "many-1-".utf8.count + 5)
    #expect(pod.meta.generateName == "many-1-")
    #expect(pod.hostname == "many-1" && pod.json[path: ["spec", "hostname"]] == "many-1")
    #expect(pod.meta.labels["batch.kubernetes.io/job-completion-index"] == "1")
    let variable = pod.spec.json["containers"]?.arrayValue?.first?["env"]?.arrayValue?.last
    #expect(
      variable?.text == #"{"name":"JOB_COMPLETION_INDEX","valueFrom":{"fieldRef":{"apiVersion":"v1","#
        + #""fieldPath":"metadata.labels['batch.kubernetes.io/job-completion-index']"}}}"#)
    #expect(pod.spec === driver.activePods("many").first?.spec, "the pods of all indexes share one spec")
  }

  @Test("a variable JOB_COMPLETION_INDEX that the user gives stays as it is")
  func ownVariable() throws {
    var driver = try WorkloadsDriver()
    let environment: JSON = [["name": "JOB_COMPLETION_INDEX", "value": "mine"]]
    driver.createJob("own", ["completionMode": "Indexed", "suspend": true])
    var template = try driver.job("own").spec.json["template"] ?? .null
    var containers = template[path: ["spec", "containers"]]?.arrayValue ?? []
    containers[0]["env"] = environment
    template[path: ["spec", "containers"]] = .array(containers)
    driver.editJob("own", ["template": template, "suspend": false])
    #expect(try pod(driver, "own", 0).spec.json["containers"]?.arrayValue?.first?["env"] == environment)
  }

  @Test("the name of a long Job is cut so that prefix and index have 58 characters")
  func longName() throws {
    var driver = try WorkloadsDriver()
    let name = String(repeating: "n", count: 60)
    driver.createJob(name, ["completionMode": "Indexed"])
    #expect(try pod(driver, name, 0).meta.generateName == String(repeating: "n", count: 55) + "-0-")
  }

  @Test("the lowest indexes that need a pod come first, and completedIndexes names what succeeded in intervals")
  func lowestFirst() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("many", ["completionMode": "Indexed", "completions": 10, "parallelism": 4])
    for index in [1, 3, 0] { driver.end(try pod(driver, "many", index), succeeded: true) }
    #expect(try driver.status("many").json["completedIndexes"] == "0,1,3")
    #expect(active(driver, "many") == ["2", "4", "5", "6"])
    driver.end(try pod(driver, "many", 2), succeeded: true)
    driver.end(try pod(driver, "many", 5), succeeded: true)
    #expect(try driver.status("many").json["completedIndexes"] == "0-3,5")
    for index in [4, 6, 7, 8, 9] { driver.end(try pod(driver, "many", index), succeeded: true) }
    let status = try driver.status("many")
    #expect(status.succeeded == 10 && status.json["completedIndexes"] == "0-9")
    #expect(try driver.reason("many", "Complete") == "CompletionsReached")
    #expect(status.json["failedIndexes"] == nil)
  }

  @Test("the pod of an index that failed or was deleted is made again for the same index")
  func again() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("many", ["completionMode": "Indexed", "completions": 3, "parallelism": 3])
    driver.deletePod(try pod(driver, "many", 1))
    #expect(active(driver, "many") == ["0", "1", "2"])
    driver.end(try pod(driver, "many", 0), succeeded: false)
    driver.advance(seconds: 10)
    #expect(active(driver, "many") == ["0", "1", "2"])
    #expect(try driver.status("many").failed == 2)
  }

  @Test("two pods of one index: the worse one goes, and a second success of an index counts nothing")
  func duplicates() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("many", ["completionMode": "Indexed", "completions": 3, "parallelism": 2])
    let first = try pod(driver, "many", 0)
    driver.run(first)
    var copy = first
    copy.meta.name = "many-0-copy0"
    copy.meta.uid = ""
    copy.meta.resourceVersion = 0
    copy.status = PodStatus()
    driver.core.insert(.pod(copy))
    driver.settle()
    #expect(driver.activePods("many").filter { index($0) == "0" }.map(\.meta.name) == [first.meta.name])
    #expect(try driver.status("many").failed == 0, "who is surplus counts nowhere")
    copy.meta.name = "many-0-copy1"
    copy.status.phase = .succeeded
    driver.core.insert(.pod(copy))
    driver.settle()
    driver.end(first, succeeded: true)
    #expect(try driver.status("many").succeeded == 1)
  }

  @Test("a pod whose index the Job does not have is deleted and counts nowhere")
  func outOfRange() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("many", ["completionMode": "Indexed", "completions": 2, "parallelism": 2])
    var odd = try pod(driver, "many", 0)
    for (name, text) in [("odd-a", "2"), ("odd-b", "-1"), ("odd-c", "x"), ("odd-e", "\(Int64.max)")] {
      odd.meta.name = name
      odd.meta.uid = ""
      odd.meta.annotations[Slot.indexAnnotation] = text
      driver.core.insert(.pod(odd))
    }
    driver.settle()
    #expect(driver.activePods("many").allSatisfy { $0.meta.name.hasPrefix("many-") })
    odd.status.phase = .succeeded
    odd.meta.name = "odd-d"
    driver.core.insert(.pod(odd))
    driver.settle()
    let status = try driver.status("many")
    #expect(status.succeeded == 0 && status.failed == 0 && active(driver, "many") == ["0", "1"])
  }

  @Test("an elastic Job that shrinks forgets the indexes that it has no more, and grows again from the lowest")
  func elastic() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("many", ["completionMode": "Indexed", "completions": 4, "parallelism": 4])
    driver.end(try pod(driver, "many", 3), succeeded: true)
    driver.end(try pod(driver, "many", 1), succeeded: true)
    driver.editJob("many", ["completions": 3, "parallelism": 3])
    #expect(try driver.status("many").json["completedIndexes"] == "1")
    #expect(try driver.status("many").succeeded == 1)
    driver.editJob("many", ["completions": 5, "parallelism": 5])
    #expect(active(driver, "many") == ["0", "2", "3", "4"])
    #expect(driver.core.broken == nil)
  }

  @Test("a restart of the coordinator keeps what each index came to")
  func restart() throws {
    var driver = try WorkloadsDriver()
    driver.createJob(
      "many",
      [
        "completionMode": "Indexed", "completions": 5, "parallelism": 3, "backoffLimitPerIndex": 1,
        "backoffLimit": 2_147_483_647,
      ])
    driver.end(try pod(driver, "many", 1), succeeded: true)
    driver.end(try pod(driver, "many", 0), succeeded: false)
    #expect(driver.core.persistentDifference(from: try driver.rebuilt()) == nil)
    try driver.restart(away: 20)
    #expect(active(driver, "many") == ["0", "2", "3"])
    driver.end(try pod(driver, "many", 0), succeeded: false)
    try driver.restart()
    let status = try driver.status("many")
    #expect(status.json["completedIndexes"] == "1" && status.json["failedIndexes"] == "0" && status.failed == 2)
  }

  @Test("100,000 indexes that complete in any order are one interval, whose end is found from within it")
  func manyIndexes() {
    var completed = IndexIntervals()
    for index in stride(from: Int64(0), to: 100_000, by: 2) { completed.insert(index) }
    for index in stride(from: Int64(99_999), to: 0, by: -2) { completed.insert(index) }
    #expect(completed.text == "0-99999" && completed.count == 100_000)
    #expect(completed.end(around: 5) == 99_999)
  }

  // MARK: Limits for each index

  private func perIndex(_ members: [String: JSON]) throws -> WorkloadsDriver {
    var driver = try WorkloadsDriver()
    var spec: [String: JSON] = [
      "completionMode": "Indexed", "completions": 3, "parallelism": 3, "backoffLimit": 2_147_483_647,
    ]
    for (key, value) in members { spec[key] = value }
    driver.createJob("many", spec)
    return driver
  }

  @Test("an index fails after its limit and one more, the others go on, and the Job ends with FailedIndexes")
  func indexFails() throws {
    var driver = try perIndex(["backoffLimitPerIndex": 1])
    #expect(try pod(driver, "many", 1).meta.annotations[Slot.failuresAnnotation] == "0")
    driver.end(try pod(driver, "many", 1), succeeded: false)
    #expect(active(driver, "many") == ["0", "2"], "an index waits before its next pod")
    driver.advance(seconds: 10)
    #expect(try pod(driver, "many", 1).meta.annotations[Slot.failuresAnnotation] == "1")
    #expect(try driver.status("many").failed == 1)
    driver.end(try pod(driver, "many", 1), succeeded: false)
    #expect(try driver.status("many").json["failedIndexes"] == "1")
    #expect(try driver.reason("many", "FailureTarget") == nil)
    driver.end(try pod(driver, "many", 0), succeeded: true)
    driver.end(try pod(driver, "many", 2), succeeded: true)
    let status = try driver.status("many")
    #expect(try driver.reason("many", "Failed") == "FailedIndexes")
    #expect(status.condition("Failed")?.message == "Job has failed indexes")
    #expect(status.failed == 2 && status.succeeded == 2 && status.json["completedIndexes"] == "0,2")
  }

  @Test("with a limit of 0 an index has no second attempt, and failedIndexes is there from the start")
  func noRetry() throws {
    var driver = try perIndex(["backoffLimitPerIndex": 0])
    #expect(try driver.status("many").json["failedIndexes"] == "")
    driver.end(try pod(driver, "many", 2), succeeded: false)
    driver.advance(seconds: 60)
    #expect(active(driver, "many") == ["0", "1"])
  }

  @Test("more failed indexes than maxFailedIndexes end the Job at once, and its pods count as failed")
  func tooManyFailed() throws {
    var driver = try perIndex(["backoffLimitPerIndex": 0, "maxFailedIndexes": 0])
    driver.end(try pod(driver, "many", 0), succeeded: false)
    let status = try driver.status("many")
    #expect(try driver.reason("many", "Failed") == "MaxFailedIndexesExceeded")
    #expect(
      status.condition("Failed")?.message == "Job has exceeded the specified maximal number of failed indexes")
    #expect(status.failed == 3 && status.json["failedIndexes"] == "0")
  }

  @Test("each index has a pause of its own, which doubles with its failures")
  func ownPause() throws {
    var driver = try perIndex(["backoffLimitPerIndex": 5])
    driver.end(try pod(driver, "many", 0), succeeded: false)
    driver.advance(seconds: 10)
    driver.end(try pod(driver, "many", 0), succeeded: false)
    driver.end(try pod(driver, "many", 1), succeeded: false)
    driver.advance(seconds: 10)
    #expect(active(driver, "many") == ["1", "2"], "index 0 pauses for 20 s, index 1 for 10 s")
    driver.advance(seconds: 10)
    #expect(active(driver, "many") == ["0", "1", "2"])
    #expect(try pod(driver, "many", 0).meta.annotations[Slot.failuresAnnotation] == "2")
  }

  @Test("the failed pod keeps the tracking finalizer until its index has the next pod")
  func heldPod() throws {
    var driver = try perIndex(["backoffLimitPerIndex": 5])
    let failed = try pod(driver, "many", 0)
    driver.end(failed, succeeded: false)
    #expect(driver.core.state.pods[failed.meta.key]?.meta.finalizers == [JobNames.trackingFinalizer])
    driver.advance(seconds: 10)
    #expect(driver.core.state.pods[failed.meta.key]?.meta.finalizers == [])
    driver.end(try pod(driver, "many", 0), succeeded: false)
    driver.deleteJob("many", .background)
    #expect(driver.pods("many").isEmpty, "the Job's end lets go of what it held")
  }

  @Test("a pod deleted by hand counts for its index and is replaced at once")
  func deleted() throws {
    var driver = try perIndex(["backoffLimitPerIndex": 1])
    driver.deletePod(try pod(driver, "many", 0))
    #expect(try pod(driver, "many", 0).meta.annotations[Slot.failuresAnnotation] == "1")
    #expect(try driver.status("many").failed == 1)
  }
}
