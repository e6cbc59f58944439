// "should support CronJob API operations" of Kubernetes' end-to-end suite, step by step over HTTPS. What CronJobs do is
// the core's suites'.

import ClusterIO
import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Operations on CronJobs")
struct CronJobOperationsTests {
  private static let mine = "/apis/batch/v1/namespaces/default/cronjobs"
  private static let everywhere = "/apis/batch/v1/cronjobs"
  private static let selector = "labelSelector=special-label%3Dcronjob-1"

  /// Hourly at first sight: `* */1 * * ?` is each minute.
  private static func cron(_ name: String) -> JSON {
    var cron = APIFixture.object(.cronjobs, name, labels: ["special-label": "cronjob-1"])
    cron[path: ["spec", "schedule"]] = "* */1 * * ?"
    cron[path: ["spec", "suspend"]] = nil
    cron[path: ["spec", "successfulJobsHistoryLimit"]] = 1
    cron[path: ["spec", "failedJobsHistoryLimit"]] = 0
    return cron
  }

  @Test("should support CronJob API operations")
  func operations() throws {
    try LiveAPI.with { api in
      let made = try api.ask("POST", Self.mine, body: Self.cron("test-api"))
      #expect(made.code == 201, "\(made.text)")
      let path = "\(Self.mine)/test-api"
      #expect(try api.object(path).uid == made.json.uid)
      let list = try api.ask("GET", "\(Self.mine)?\(Self.selector)").json
      #expect(list.itemNames == ["test-api"])
      #expect(try api.ask("GET", "\(Self.everywhere)?\(Self.selector)").json.itemNames == ["test-api"])
      let watchers = try [Self.mine, Self.everywhere].map { all in
        let watcher = try api.connect()
        let query = "watch=true&\(Self.selector)&resourceVersion=\(list.resourceVersion)"
        watcher.connection.send(HTTPTestClient.request("GET", "\(all)?\(query)"))
        return watcher
      }
      try Self.change(api, path)
      for watcher in watchers {
        var events: [JSON] = []
        try api.live.wait("the watch tells of both changes") {
          events += watcher.takeEvents()
          return events.last?[path: ["object", "metadata", "annotations"]] == ["patched": "true", "updated": "true"]
        }
        #expect(events.allSatisfy { $0["type"] == "MODIFIED" && $0["object"]?["kind"] == "CronJob" }, "\(events)")
        watcher.connection.close()
      }
      try Self.changeStatus(api, path, uid: made.json.uid)
      try Self.remove(api)
    }
  }

  private static func change(_ api: LiveAPI, _ path: String) throws {
    let patch: JSON = ["metadata": ["annotations": ["patched": "true"]]]
    let patched = try api.ask("PATCH", path, type: PatchKind.merge.rawValue, body: patch)
    #expect(patched.code == 200 && patched.json[path: ["metadata", "annotations", "patched"]] == "true")
    var update = try api.object(path)
    update[path: ["metadata", "annotations", "updated"]] = "true"
    let updated = try api.ask("PUT", path, body: update)
    #expect(updated.code == 200, "\(updated.text)")
    #expect(updated.json[path: ["metadata", "annotations"]] == ["patched": "true", "updated": "true"])
  }

  private static func changeStatus(_ api: LiveAPI, _ path: String, uid: String) throws {
    // Ahead of the clock, so that no run comes between.
    let patch: JSON = [
      "metadata": ["annotations": ["patchedstatus": "true"]], "status": ["lastScheduleTime": "2099-01-01T00:00:01Z"],
    ]
    let patched = try api.ask("PATCH", "\(path)/status", type: PatchKind.merge.rawValue, body: patch)
    #expect(patched.code == 200, "\(patched.text)")
    #expect(patched.json[path: ["status", "lastScheduleTime"]] == "2099-01-01T00:00:01Z")
    #expect(patched.json[path: ["metadata", "annotations", "patchedstatus"]] == "true")
    var update = try api.object(path)
    update[path: ["status", "lastScheduleTime"]] = "2099-01-01T00:00:02Z"
    update[path: ["spec", "schedule"]] = "0 0 1 1 *"
    let updated = try api.ask("PUT", "\(path)/status", body: update)
    #expect(updated.code == 200, "\(updated.text)")
    #expect(updated.json[path: ["status", "lastScheduleTime"]] == "2099-01-01T00:00:02Z")
    #expect(updated.json[path: ["spec", "schedule"]] == "* */1 * * ?", "a status holds no spec")
    let status = try api.ask("GET", "\(path)/status")
    #expect(status.code == 200 && status.json.uid == uid)
    let bad = try api.ask(
      "PATCH", "\(path)/status", type: PatchKind.merge.rawValue, body: ["status": ["lastScheduleTime": "soon"]])
    #expect([400, 422].contains(bad.code), "\(bad.text)")
  }

  private static func remove(_ api: LiveAPI) throws {
    #expect(try api.ask("POST", mine, body: cron("for-removal")).code == 201)
    #expect(try api.ask("DELETE", "\(mine)/for-removal").code == 200)
    try api.eventually("it is gone", "GET", "\(mine)/for-removal") { $0.code == 404 }
    #expect(try api.ask("DELETE", "\(mine)?\(selector)").code == 200)
    try api.eventually("all are gone", "GET", "\(mine)?\(selector)") { $0.json.itemNames.isEmpty }
    #expect(try api.ask("GET", mine).json["items"] == [])
  }

  @Test("discovery tells of cronjobs and their status, with every verb, short name and category")
  func discovery() throws {
    try LiveAPI.with { api in
      let resources = try api.ask("GET", "/apis/batch/v1").json["resources"]?.arrayValue ?? []
      let cron = try #require(resources.first { $0["name"] == "cronjobs" })
      #expect(cron["kind"] == "CronJob" && cron["namespaced"] == true && cron["singularName"] == "cronjob")
      #expect(cron["shortNames"] == ["cj"] && cron["categories"] == ["all"])
      let verbs = (cron["verbs"]?.arrayValue ?? []).compactMap(\.stringValue)
      #expect(
        verbs.sorted() == ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"])
      let status = try #require(resources.first { $0["name"] == "cronjobs/status" })
      #expect((status["verbs"]?.arrayValue ?? []).compactMap(\.stringValue).sorted() == ["get", "patch", "update"])
    }
  }
}
