// v1 Events: shape, repetition, floods, age, limits.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Events")
struct WorkloadsEventTests {
  private func record(_ driver: inout WorkloadsDriver, _ message: String, on name: String = "done") throws {
    let job = try driver.job(name)
    driver.core.recordEvent(
      on: .job(job), type: .warning, reason: "Test", message: message, component: "tester")
    driver.settle()
  }

  private func all(_ driver: WorkloadsDriver) -> [GenericObject] {
    var state = driver.core.state
    return state.keys(of: .events).compactMap { driver.core.state.other(.events, $0) }
  }

  @Test("an event has the members that Kubernetes' have")
  func shape() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("done")
    let event = try #require(all(driver).first { $0.body["reason"] == "SuccessfulCreate" })
    let body = event.body
    #expect(event.meta.name.hasPrefix("done.") && event.meta.name.count == 21)
    #expect(event.meta.namespace == "default")
    #expect(body["involvedObject"]?["kind"] == "Job" && body["involvedObject"]?["apiVersion"] == "batch/v1")
    #expect(body["involvedObject"]?["uid"] == "uid-done")
    #expect(body["type"] == "Normal" && body["reason"] == "SuccessfulCreate" && body["count"] == 1)
    #expect(body["source"]?["component"] == "job-controller" && body["reportingComponent"] == "job-controller")
    #expect(body["firstTimestamp"] == .string(driver.core.stamp.rfc3339) && body["eventTime"] == .some(.null))
  }

  @Test("100 identical events are one object with a count")
  func repeated() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("done", ["suspend": true])
    for _ in 0..<100 {
      driver.advance(seconds: 1)
      try record(&driver, "again")
    }
    let events = all(driver).filter { $0.body["reason"] == "Test" }
    #expect(events.count == 1)
    #expect(events.first?.body["count"] == 100)
    #expect(events.first?.body["lastTimestamp"] == .string(driver.core.stamp.rfc3339))
    #expect(events.first?.body["firstTimestamp"] != events.first?.body["lastTimestamp"])
  }

  @Test("a flood of different messages is combined from the tenth on, also across a restart")
  func combined() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("done", ["suspend": true])
    for number in 0..<30 { try record(&driver, "message \(number)") }
    try driver.restart()
    for number in 30..<50 { try record(&driver, "message \(number)") }
    let events = all(driver).filter { $0.body["reason"] == "Test" }
    #expect(events.count == 10)
    let combined = events.filter {
      $0.body["message"]?.stringValue?.hasPrefix("(combined from similar events): ") ?? false
    }
    #expect(combined.count == 1)
    // Events ride along with commits: what no commit carried may be lost at a restart, but the object stays one.
    #expect(combined.first?.body["message"] == "(combined from similar events): message 49")
  }

  @Test("an event goes an hour after it last happened")
  func age() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("done", ["suspend": true])
    try record(&driver, "old")
    driver.advance(seconds: 1800)
    try record(&driver, "old")
    driver.advance(seconds: 3599)
    #expect(all(driver).contains { $0.body["message"] == "old" })
    driver.advance(seconds: 2)
    #expect(all(driver).isEmpty)
    #expect(driver.core.workloads.events.groups.isEmpty && driver.core.workloads.events.namespaces.isEmpty)
  }

  @Test("a namespace keeps a bounded number of events, the newest")
  func bounded() throws {
    var driver = try WorkloadsDriver()
    for number in 0..<(EventIndex.namespaceLimit + 50) {
      let pod = GenericObject(kind: .configmaps, meta: ObjectMeta(), body: [:])
      var object = pod
      object.meta.name = "map-\(number)"
      object.meta.namespace = "default"
      object.meta.uid = "u\(number)"
      driver.core.recordEvent(
        on: .other(object), type: .normal, reason: "Test", message: "m", component: "tester")
    }
    driver.settle()
    #expect(all(driver).count == EventIndex.namespaceLimit)
    #expect(driver.core.workloads.events.namespaces["default"]?.count == EventIndex.namespaceLimit)
    // With its ServiceAccount.
    #expect(driver.core.workloads.contents["default"]?.total == EventIndex.namespaceLimit + 1)
  }

  @Test("events alone cause no commit")
  func rideAlong() throws {
    var driver = try WorkloadsDriver()
    driver.createJob("done", ["suspend": true])
    let job = try driver.job("done")
    driver.core.recordEvent(on: .job(job), type: .normal, reason: "Quiet", message: "m", component: "tester")
    let effects = driver.core.step([.timer], at: driver.now)
    #expect(!effects.contains { if case .persist = $0 { true } else { false } })
    driver.createJob("next", ["suspend": true])
    try driver.restart()
    #expect(all(driver).contains { $0.body["reason"] == "Quiet" })
  }
}
