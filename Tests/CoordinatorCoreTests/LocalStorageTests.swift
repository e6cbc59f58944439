// The class that every cluster has: a claim's directory on the node of its first pod, the pods after it, its end; and
// claims that are a pod's own.

import ClusterProto
import Testing

@testable import CoordinatorCore

@Suite("Local storage") struct LocalStorageTests {
  private func used(_ harness: FleetHarness, _ pod: String, _ volume: String) -> JSON? {
    guard let number = harness.attempt(of: pod), let node = harness.pod(pod)?.nodeName else { return nil }
    return harness.agents[node]?.bodies[number]?.references["volumes/\(volume)"]
  }

  @Test("every cluster has the class, and it is that of claims that name none") func theClass() throws {
    var harness = try FleetHarness()
    let made = harness.object(.storageclasses, "local-path")
    #expect(made?.body["provisioner"] == "stint.dev/local-path")
    #expect(
      harness.create(.persistentvolumeclaims, Storage.claim("c")).object["spec"]?["storageClassName"] == "local-path")
    #expect(
      harness.events("WaitForFirstConsumer") == ["waiting for first consumer to be created before binding"])
    harness.delete(.storageclasses, "local-path")
    harness.create(.persistentvolumeclaims, Storage.claim("d"))
    #expect(harness.object(.persistentvolumeclaims, "d")?.body["spec"]?["storageClassName"] == nil)
    try harness.restart()
    #expect(harness.object(.storageclasses, "local-path") != nil)
  }

  @Test("a claim that many nodes would share is told that its pods run on one") func shared() throws {
    var harness = try FleetHarness()
    let answer = harness.create(.persistentvolumeclaims, Storage.claim("c", "1Gi", ["ReadWriteMany"]))
    #expect(
      answer.warnings == ["spec.accessModes: a volume of class local-path lies on one node: its pods all run there"])
  }

  @Test("the first pod's node gets the directory, and all pods after it run there") func pinned() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.create(.persistentvolumeclaims, Storage.claim("c"))
    for index in 0..<6 { harness.addPod("p\(index)", extra: Storage.using("c"), run: false) }
    harness.step([])
    let nodes = Set((0..<6).compactMap { harness.pod("p\($0)")?.nodeName })
    #expect(nodes.count == 1 && harness.pod("p5")?.nodeName != nil)
    let name = try #require(harness.volume(of: "c"))
    let uid = harness.object(.persistentvolumeclaims, "c")?.meta.uid ?? ""
    #expect(name == "pvc-\(uid)")
    #expect(harness.events("ProvisioningSucceeded") == ["Successfully provisioned volume \(name)"])
    #expect(used(harness, "p0", "v-c") == ["volume": .string(name), "stored": true, "make": true])
    let number = try #require(harness.attempt(of: "p0"))
    harness.report(try #require(nodes.first), number, revision: 1, .running)
    harness.addPod("later", extra: Storage.using("c"))
    #expect(harness.pod("later")?.nodeName == nodes.first)
    #expect(used(harness, "later", "v-c")?["make"] == false, "it is there: where it is missing, something is lost")
    #expect(harness.problems().isEmpty)
  }

  @Test("pods that wait with claims of either kind wait on over a restart, and run when there are nodes")
  func restarted()
    throws
  {
    var harness = try FleetHarness()
    harness.create(.persistentvolumeclaims, Storage.claim("c"))
    harness.create(.persistentvolumes, Storage.volume("v"))
    harness.create(.persistentvolumeclaims, Storage.claim("d", more: ["storageClassName": ""]))
    harness.addPod("p", extra: Storage.using("c"))
    harness.addPod("q", extra: Storage.using("d"))
    try harness.restart()
    harness.join(FakeAgent("a"))
    #expect(harness.pod("p")?.nodeName == "a" && harness.pod("q")?.nodeName == "a", "\(harness.wait("p") ?? "")")
    var found: [String] = []
    harness.core.checkStorage(&found)
    #expect(found.isEmpty)
  }

  @Test("a claim that says itself that it is bound gets no volume that is not for it") func forged() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.create(.persistentvolumes, Storage.volume("v", more: ["storageClassName": "precious"]))
    var claim = Storage.claim("c", more: ["storageClassName": "", "volumeName": "v"])
    claim[path: ["metadata", "annotations"]] = ["pv.kubernetes.io/bind-completed": "yes"]
    harness.create(.persistentvolumeclaims, claim)
    #expect(harness.phase(.persistentvolumeclaims, "c") == "Lost")
    #expect(harness.phase(.persistentvolumes, "v") == "Available")
    harness.addPod("p", extra: Storage.using("c"))
    #expect(harness.pod("p")?.nodeName == nil)
  }

  @Test("a pod whose volume lies on a lost node waits for that node") func lostNode() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.create(.persistentvolumeclaims, Storage.claim("c"))
    harness.addPod("p", extra: Storage.using("c"))
    let node = try #require(harness.pod("p")?.nodeName)
    let other = node == "a" ? "b" : "a"
    harness.succeed("p")
    harness.pass(60_000, beating: [other])
    harness.addPod("q", extra: Storage.using("c"))
    #expect(harness.pod("q")?.nodeName == nil)
    #expect(harness.wait("q")?.contains("1 node(s) didn't match PersistentVolume's node affinity") == true)
    harness.reconnect(node, session: "again")
    #expect(harness.pod("q")?.nodeName == node)
  }

  @Test("a deleted claim's directory is removed by its node, which may be away for long; then the volume is gone")
  func removed() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.create(.persistentvolumeclaims, Storage.claim("c"))
    harness.addPod("p", extra: Storage.using("c"))
    let name = try #require(harness.volume(of: "c"))
    harness.delete(.persistentvolumeclaims, "c")
    harness.succeed("p")
    #expect(harness.agents["a"]?.removals == [])
    harness.step([.sessionClosed("session-a")])
    harness.delete(.pods, "p")
    #expect(harness.object(.persistentvolumeclaims, "c") == nil)
    #expect(harness.phase(.persistentvolumes, name) == "Released")
    try harness.restart()
    harness.reconnect("a", session: "again")
    #expect(harness.agents["a"]?.removals == [name])
    harness.step([
      .agent("again", .volumesRemoved([], failed: [VolumeProblem(volume: name, message: "the disk is broken")]))
    ])
    #expect(harness.phase(.persistentvolumes, name) == "Failed")
    #expect(harness.events("VolumeFailedDelete") == ["the disk is broken"])
    harness.pass(31_000, beating: ["a"])
    #expect(harness.agents["a"]?.removals == [name, name], "it is asked again")
    harness.step([.agent("again", .volumesRemoved([name, "pvc-of-another"], failed: []))])
    #expect(harness.object(.persistentvolumes, name) == nil)
    #expect(harness.core.storage.removals.isEmpty && harness.core.storage.removalNodes.isEmpty)
  }

  @Test("no other node's word ends a volume, and nothing is removed while an attempt may still use it")
  func foreignWord()
    throws
  {
    var harness = try FleetHarness.joined(["a"])
    harness.create(.persistentvolumeclaims, Storage.claim("c"))
    harness.addPod("p", extra: Storage.using("c"))
    let name = try #require(harness.volume(of: "c"))
    harness.join(FakeAgent("b"))
    // The node is lost; pod and claim go by force.
    harness.pass(8_000, beating: ["b"])
    harness.core.erase(ObjectReference(kind: .pods, key: ObjectKey(namespace: "default", name: "p")))
    harness.step([])
    harness.delete(.persistentvolumeclaims, "c")
    #expect(harness.object(.persistentvolumeclaims, "c") != nil, "its attempt may still run")
    #expect(harness.core.storage.removals.isEmpty)
    harness.pass(60_000, beating: ["b"])
    #expect(harness.object(.persistentvolumeclaims, "c") == nil)
    #expect(harness.core.storage.removals["a"]?.contains(name) == true)
    harness.step([.agent("session-b", .volumesRemoved([name], failed: []))])
    #expect(harness.object(.persistentvolumes, name) != nil)
  }

  @Test("a volume that is taken back before its directory was removed is removed by no late word") func takenBack()
    throws
  {
    var harness = try FleetHarness.joined(["a"])
    harness.create(.persistentvolumeclaims, Storage.claim("c"))
    harness.addPod("p", extra: Storage.using("c"))
    let name = try #require(harness.volume(of: "c"))
    harness.succeed("p")
    harness.step([.sessionClosed("session-a")])
    harness.delete(.pods, "p")
    harness.delete(.persistentvolumeclaims, "c")
    #expect(harness.phase(.persistentvolumes, name) == "Released")
    #expect(harness.patch(.persistentvolumes, name, ["spec": ["claimRef": .null]]) == 200)
    harness.create(.persistentvolumeclaims, Storage.claim("again", more: ["volumeName": .string(name)]))
    #expect(harness.phase(.persistentvolumes, name) == "Bound")
    harness.reconnect("a", session: "again")
    #expect(harness.agents["a"]?.removals == [])
    harness.step([.agent("again", .volumesRemoved([name], failed: []))])
    #expect(harness.phase(.persistentvolumes, name) == "Bound")
    harness.delete(.persistentvolumeclaims, "again")
    #expect(harness.agents["a"]?.removals == [name])
  }

  @Test("a class that retains keeps the directory, and the volume's end is a person's to decide") func retained() throws
  {
    var harness = try FleetHarness.joined(["a"])
    harness.create(
      .storageclasses,
      [
        "metadata": ["name": "keep"], "provisioner": "stint.dev/local-path", "reclaimPolicy": "Retain",
        "volumeBindingMode": "WaitForFirstConsumer",
      ])
    harness.create(.persistentvolumeclaims, Storage.claim("c", more: ["storageClassName": "keep"]))
    harness.addPod("p", extra: Storage.using("c"))
    let name = try #require(harness.volume(of: "c"))
    harness.succeed("p")
    harness.delete(.pods, "p")
    harness.delete(.persistentvolumeclaims, "c")
    #expect(harness.phase(.persistentvolumes, name) == "Released")
    #expect(harness.agents["a"]?.removals == [])
    harness.delete(.persistentvolumes, name)
    #expect(harness.object(.persistentvolumes, name) == nil)
    #expect(harness.agents["a"]?.removals == [])
  }

  @Test("an ephemeral volume's claim is named after pod and volume, is the pod's alone, and goes with it")
  func ephemeral()
    throws
  {
    var harness = try FleetHarness.joined(["a"])
    let volume: JSON = [
      "name": "scratch",
      "ephemeral": [
        "volumeClaimTemplate": ["metadata": ["labels": ["a": "b"]], "spec": Storage.claim("x")["spec"] ?? .null]
      ],
    ]
    harness.addPod("p", extra: [("volumes", [volume])])
    let claim = try #require(harness.object(.persistentvolumeclaims, "p-scratch"))
    let uid = try #require(harness.pod("p")?.meta.uid)
    #expect(claim.meta.labels == ["a": "b"])
    #expect(claim.meta.ownerReferences.first?.uid == uid)
    #expect(harness.pod("p")?.nodeName == "a")
    harness.succeed("p")
    harness.delete(.pods, "p")
    harness.pass(1_000, beating: ["a"])
    #expect(harness.object(.persistentvolumeclaims, "p-scratch") == nil)
    #expect(harness.agents["a"]?.removals.count == 1)
    harness.create(.persistentvolumeclaims, Storage.claim("q-scratch"))
    harness.addPod("q", extra: [("volumes", [volume])])
    #expect(harness.wait("q")?.contains("was not created for pod default/q (pod is not the owner)") == true)
  }

  @Test("an ephemeral claim that a quota refuses is told of and made later") func refusedEphemeral() throws {
    var harness = try FleetHarness.joined(["a"])
    harness.create(
      .resourcequotas, ["metadata": ["name": "q"], "spec": ["hard": ["persistentvolumeclaims": "0"]]])
    let template: JSON = ["volumeClaimTemplate": ["spec": Storage.claim("x")["spec"] ?? .null]]
    harness.addPod("p", extra: [("volumes", [["name": "s", "ephemeral": template]])])
    #expect(
      harness.wait("p")?.contains(
        #"waiting for ephemeral volume controller to create the persistentvolumeclaim "p-s""#) == true)
    #expect(harness.events("FailedCreate").first?.contains("exceeded quota: q") == true)
    harness.delete(.resourcequotas, "q")
    harness.pass(31_000, beating: ["a"])
    #expect(harness.pod("p")?.nodeName == "a")
  }

  @Test("a gang whose claim is made with its first pod is placed whole, on one node") func gang() throws {
    var harness = try FleetHarness.joined(["a", "b"])
    harness.create(.persistentvolumeclaims, Storage.claim("c"))
    var job = Manifest.job(
      "g", spec: ["parallelism": 4, "completions": 4],
      pod: ["volumes": [["name": "v", "persistentVolumeClaim": ["claimName": "c"]]]])
    job[path: ["metadata", "annotations"]] = ["stint.dev/gang": "true"]
    let made = harness.create(.jobs, job)
    #expect(made.code == 201, "\(made.object.text)")
    let nodes = harness.core.state.keys(of: .pods).map { harness.core.state.pods[$0]?.nodeName }
    #expect(nodes.count == 4 && Set(nodes).count == 1 && nodes.allSatisfy { $0 != nil })
  }
}
