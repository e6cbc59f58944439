// Protobuf bodies: what real clients send, every type of field, refusals by name, hostile bytes; and all that over
// HTTPS.

import ClusterProto
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("Protobuf bodies")
struct ProtobufTests {
  private typealias Wire = ProtobufWriter

  @Test("what kubectl sends reads as the JSON that older kubectl sends")
  func captured() throws {
    #expect(
      try Protobuf.decode(Wire.job) == [
        "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "hello"],
        "spec": [
          "template": [
            "metadata": .object(JSONObject()),
            "spec": [
              "containers": [
                [
                  "name": "hello", "image": "busybox", "command": ["date"], "resources": .object(JSONObject()),
                ]
              ], "restartPolicy": "Never",
            ],
          ]
        ], "status": .object(JSONObject()),
      ])
    #expect(
      try Protobuf.decode(Wire.namespace) == [
        "apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "tidy"], "spec": .object(JSONObject()),
        "status": .object(JSONObject()),
      ])
    #expect(try Protobuf.decode(Wire.configMap)["data"] == ["a": "b"])
    #expect(try Protobuf.decode(Wire.secret)["data"] == ["a": "Yg=="])
    #expect(
      try Protobuf.decode(Wire.accessReview)["spec"] == [
        "resourceAttributes": ["namespace": "default", "verb": "create", "resource": "jobs"]
      ])
  }

  @Test("pointers keep their zeros, other zeros vanish; numbers stand packed or one by one; -1 is ten bytes")
  func numbers() throws {
    let codes = Wire.message(
      11,
      Wire.message(
        1, Wire.text(1, "FailJob"),
        Wire.message(
          2, Wire.text(2, "In"), Wire.int(3, 1), Wire.bytes(3, Wire.varint(300) + Wire.varint(0)), Wire.int(3, -7))))
    let json = try Protobuf.decode(
      Wire.body(
        "batch/v1", "Job",
        Wire.message(
          2, Wire.int(1, 0), Wire.int(2, 5), Wire.int(3, -1), Wire.int(5, 0), Wire.int(10, 1), Wire.text(9, ""), codes),
        Wire.message(3, Wire.int(4, 0), Wire.int(5, 2), Wire.int(9, 0))))
    #expect(
      json["spec"] == [
        "parallelism": 0, "completions": 5, "activeDeadlineSeconds": -1, "manualSelector": false, "suspend": true,
        "completionMode": "",
        "podFailurePolicy": [
          "rules": [["action": "FailJob", "onExitCodes": ["operator": "In", "values": [1, 300, 0, -7]]]]
        ],
      ])
    #expect(json["status"] == ["succeeded": 2, "ready": 0])
  }

  @Test("times, quantities, number-or-string, maps, bytes, inlined structs and fieldsV1 read as in JSON")
  func types() throws {
    let meta = Wire.message(
      1, Wire.text(1, "p"), Wire.message(8), Wire.message(9, Wire.int(1, 1_763_904_000), Wire.int(2, 999)),
      Wire.entry(11, "tier", Wire.text(2, "one")), Wire.entry(11, "bare", []),
      Wire.message(17, Wire.text(1, "m"), Wire.message(4), Wire.message(7, Wire.text(1, #"{"f:spec":{}}"#))))
    let quantities = Wire.message(
      8, Wire.entry(2, "cpu", Wire.message(2, Wire.text(1, "500m"))), Wire.entry(2, "memory", []))
    func port(_ value: [UInt8]...) -> [UInt8] {
      Wire.message(1, Wire.message(2, Wire.bytes(2, value.flatMap { $0 })))
    }
    let pod = try Protobuf.decode(
      Wire.body(
        "v1", "Pod", meta,
        Wire.message(
          2,
          Wire.message(
            1, Wire.text(1, "v"),
            Wire.message(2, Wire.message(19, Wire.message(1, Wire.text(1, "cm")), Wire.int(3, 0o644)))),
          Wire.message(1, Wire.text(1, "e"), Wire.message(2, Wire.message(2))),
          Wire.message(
            2, Wire.text(1, "c"), quantities,
            Wire.message(10, port(Wire.int(1, 1), Wire.int(2, 0), Wire.text(3, "web"))),
            Wire.message(11, port(Wire.int(1, 0), Wire.int(2, 80), Wire.text(3, "")))))))
    #expect(
      pod["metadata"] == [
        "name": "p", "deletionTimestamp": "2025-11-23T13:20:00Z", "labels": ["tier": "one", "bare": ""],
        "managedFields": [["manager": "m", "fieldsV1": ["f:spec": .object(JSONObject())]]],
      ])
    #expect(
      pod[path: ["spec", "volumes"]] == [
        ["name": "v", "configMap": ["name": "cm", "defaultMode": 420]],
        ["name": "e", "emptyDir": .object(JSONObject())],
      ])
    let container = pod[path: ["spec", "containers"]]?[0]
    #expect(container?["resources"] == ["requests": ["cpu": "500m", "memory": "0"]])
    #expect(container?["livenessProbe"] == ["httpGet": ["port": "web"]])
    #expect(container?["readinessProbe"] == ["httpGet": ["port": 80]])
    let lease = try Protobuf.decode(
      Wire.body("coordination.k8s.io/v1", "Lease", Wire.message(2, Wire.message(4, Wire.int(1, -1), Wire.int(2, 5000))))
    )
    #expect(lease[path: ["spec", "renewTime"]] == "1969-12-31T23:59:59.000005Z")
  }

  @Test("fields and kinds without a meaning here are 415 by name and say to send JSON")
  func refused() {
    func refusal(_ bytes: [UInt8]) -> ProtobufFailure? {
      do throws(ProtobufFailure) {
        _ = try Protobuf.decode(bytes)
        return nil
      } catch { return error }
    }
    let template = { (spec: [UInt8]) in
      Wire.body("batch/v1", "Job", Wire.message(2, Wire.message(6, Wire.bytes(2, spec))))
    }
    for (bytes, text) in [
      (Wire.body("batch/v1", "Job", Wire.message(2, Wire.int(99, 1))), "field number 99 of JobSpec (Job spec)"),
      (
        template(Wire.message(1, Wire.message(2, Wire.message(7, Wire.text(1, "host"))))),
        "Job spec.template.spec.volumes[0].nfs (field number 7 of VolumeSource)"
      ), (Wire.body("", ""), "kind \"\" of \"\""),
      (Wire.job + Wire.text(3, "gzip"), "an envelope with a content encoding"),
    ] {
      let failure = refusal(bytes)
      #expect(failure?.code == 415)
      #expect(failure?.message.hasPrefix(text) == true, "\(failure as Any)")
      #expect(failure?.message.contains("--dry-run=client -o yaml | kubectl create -f -") == true)
    }
    for bytes in [
      [], Array("{}".utf8), Wire.body("batch/v1", "Job", Wire.text(2, "\u{1}")),
      Wire.body("batch/v1", "Job", Wire.message(2, Wire.int(1, 1 << 40))),
      Wire.body("batch/v1", "Job", Wire.message(2, Wire.text(1, "1"))),
      Wire.body("batch/v1", "Job", Wire.message(2, Wire.int(1, 1), Wire.int(1, 2))),
      Wire.body("v1", "Namespace", Wire.message(1, Wire.bytes(1, [0xFF]))),
      Wire.body("v1", "Namespace", [0x0B]), Wire.body("v1", "Namespace", [0x02, 0x00]),
      Wire.body("v1", "Namespace", Array(repeating: 0xFF, count: 11)),
      Wire.body("v1", "Namespace", Wire.message(1, Wire.message(9, Wire.int(1, Int64.max)))),
    ] as [[UInt8]] {
      #expect(refusal(bytes)?.code == 400, "\(bytes)")
    }
  }

  @Test("every cut, and 10,000 mutations of bodies, end in an object or a refusal")
  func hostile() {
    let nested = (0..<200).reduce([UInt8]()) { inner, _ in Wire.message(2, inner) }
    let seeds = [
      Wire.job, Wire.namespace, Wire.configMap, Wire.secret, Wire.accessReview, Wire.cronJob,
      Wire.body("batch/v1", "Job", nested),
      Wire.body("policy/v1", "Eviction", Wire.message(1, Wire.text(1, "p")), Wire.message(2, Wire.int(1, 5))),
    ]
    var outcomes = [0: 0, 400: 0, 415: 0]
    func take(_ bytes: [UInt8]) {
      do throws(ProtobufFailure) {
        let json = try Protobuf.decode(bytes)
        #expect(json.objectValue != nil)
        outcomes[0, default: 0] += 1
      } catch {
        outcomes[error.code, default: 0] += 1
      }
    }
    for seed in seeds { for end in seed.indices { take(Array(seed[..<end])) } }
    var random = SplitMix64(seed: 3)
    for round in 0..<10_000 {
      var bytes = seeds[round % seeds.count]
      for _ in 0...Int(random.next() % 4) where !bytes.isEmpty {
        let place = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 4 {
        case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes[place] ^= 1 << UInt8(random.next() % 8)
        case 2: bytes.remove(at: place)
        default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
        }
      }
      take(bytes)
    }
    #expect(outcomes.keys.sorted() == [0, 400, 415])
    #expect(outcomes.values.allSatisfy { $0 > 100 })
  }

  @Test("a list of more values than an object may have is refused, not built")
  func bounded() {
    let many = Array(repeating: Wire.text(14, ""), count: JSONLimits.standard.nodes + 1).flatMap { $0 }
    #expect(throws: ProtobufFailure.self) { try Protobuf.decode(Wire.body("v1", "Namespace", Wire.bytes(1, many))) }
  }

  @Test("every type that the table names is in it, and no line is lost")
  func table() throws {
    func check(_ type: ProtobufType, in owner: String) {
      switch type {
      case .named(let name): #expect(Protobuf.messages[name] != nil, "\(name) in \(owner)")
      case .list(let element): check(element, in: owner)
      case .map(let value): check(value, in: owner)
      default: break
      }
    }
    for (name, fields) in Protobuf.messages {
      #expect(!fields.isEmpty, "\(name)")
      for field in fields.values { check(field.type, in: name) }
    }
    #expect(Protobuf.messages["PodSpec"]?.count == 43)
  }

  @Test("Jobs, namespaces, events and reviews are created from protobuf; deletion takes protobuf options")
  func served() throws {
    let directory = try TemporaryDirectory()
    let api = try LiveAPI(directory)
    func send(_ method: String, _ path: String, _ body: [UInt8]) throws -> HTTPTestAnswer {
      try api.send(HTTPTestClient.request(method, path, type: HTTPMedia.protobuf, body: body))
    }
    let jobs = "/apis/batch/v1/namespaces/default/jobs"
    let created = try send("POST", "\(jobs)?fieldManager=kubectl-create&fieldValidation=Strict", Wire.job)
    #expect(created.code == 201 && created.header("content-type") == "application/json")
    #expect(created.json[path: ["spec", "backoffLimit"]] == 6)
    #expect(try send("POST", jobs, Wire.job).code == 409)
    #expect(try send("POST", "/api/v1/namespaces", Wire.namespace).code == 201)
    #expect(try send("POST", "/api/v1/namespaces", Wire.job).code == 400)
    #expect(try send("POST", "/api/v1/namespaces/tidy/configmaps", Wire.configMap).json["data"] == ["a": "b"])
    let event = Wire.body(
      "v1", "Event", Wire.message(1, Wire.text(1, "e"), Wire.text(3, "tidy")),
      Wire.message(2, Wire.text(1, "Job"), Wire.text(2, "tidy"), Wire.text(3, "j")), Wire.text(3, "Why"),
      Wire.message(7, Wire.int(1, 1_763_904_000), Wire.int(2, 0)), Wire.int(8, 1), Wire.text(9, "Normal"))
    let told = try send("POST", "/api/v1/namespaces/tidy/events", event)
    #expect(told.code == 201 && told.json["lastTimestamp"] == "2025-11-23T13:20:00Z")
    let cron = try send("POST", "/apis/batch/v1/namespaces/default/cronjobs", Wire.cronJob)
    #expect(cron.code == 201 && cron.json[path: ["spec", "schedule"]] == "*/5 * * * *", "\(cron.text)")

    let version = try api.ask("GET", "/apis/batch/v2/namespaces/default/jobs")
    #expect(version.code == 404 && version.json["message"] == "the server could not find the requested resource")
    let token = Wire.body("authentication.k8s.io/v1", "TokenRequest", Wire.message(2, Wire.int(4, 60)))
    let asked = try send("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", token)
    #expect(asked.code == 422 && asked.json["message"]?.stringValue?.contains("less than 10 minutes") == true)
    let longer = Wire.body("authentication.k8s.io/v1", "TokenRequest", Wire.message(2, Wire.int(4, 600)))
    let given = try send("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", longer)
    #expect(given.code == 201 && given.json[path: ["spec", "expirationSeconds"]] == 600)
    let service = Wire.body(
      "v1", "Service", Wire.message(1, Wire.text(1, "s")),
      Wire.message(2, Wire.message(1, Wire.int(3, 80), Wire.message(4, Wire.int(1, 0), Wire.int(2, 8080)))))
    let made = try send("POST", "/api/v1/namespaces/tidy/services", service)
    #expect(made.code == 201 && made.json[path: ["spec", "ports"]]?[0]?["targetPort"] == 8080)

    func options(_ fields: [UInt8]...) -> [UInt8] { Wire.body("batch/v1", "DeleteOptions", fields.flatMap { $0 }) }
    #expect(try send("DELETE", "\(jobs)/hello", Wire.namespace).code == 400)
    #expect(try send("DELETE", "\(jobs)/hello", options(Wire.message(2, Wire.text(1, "other")))).code == 409)
    #expect(try send("DELETE", "\(jobs)/hello", options(Wire.text(5, "All"))).code == 200)
    #expect(try send("DELETE", "\(jobs)/hello", options(Wire.text(4, "Sideways"))).code == 422)
    let gone = try send("DELETE", "\(jobs)/hello", options(Wire.text(4, "Background")))
    #expect(gone.code == 200 && gone.header("warning") == nil && gone.json["status"] == "Success")
    #expect(try api.ask("GET", "\(jobs)/hello").code == 404)
    try api.live.stop()
  }
}
