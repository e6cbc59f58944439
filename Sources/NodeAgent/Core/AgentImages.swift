// How the agent's attempts come to their images: asks ImagePulls before an attempt is prepared, follows its answers,
// hands its orders to the shell, and tells the coordinator what the node has and what its pods' people may want to
// know. Decides nothing about images itself.

import ClusterProto

/// What the coordinator is told of images beside the pods' statuses.
struct ImageTelling {
  /// The node's images as they are were told in this session.
  var isListTold = false
  /// The kubelet's eventRecordQPS and eventBurst: on a node that starts pods faster, some words are never said.
  var allowance = WordAllowance(perSecond: 50, burst: 100)

  /// A fetcher may say much: as much as a status may hold.
  static func bounded(_ message: String) -> String {
    let limit = 2_048
    return message.utf8.count <= limit
      ? message : String(decoding: message.utf8.prefix(limit - 3), as: UTF8.self) + "..."
  }
}

extension ImageRequest {
  /// What a body asks for; nil: all of its containers run the host's programs.
  init?(_ assignment: Assignment) {
    let spec = assignment.spec
    guard spec.namesImages else { return nil }
    self.init(of: spec.initContainers + spec.containers, assignment)
  }

  /// What these of its containers ask for; nil: nothing.
  init?(of all: [ContainerSpec], _ assignment: Assignment) {
    let (spec, containers) = (assignment.spec, all.filter { !ImageReference.isHost($0.image) })
    if containers.isEmpty { return nil }
    let secrets = spec.imagePullSecrets.compactMap { assignment.references["secrets/\($0)"] }
    self.init(
      podUID: assignment.podUID,
      needs: containers.map { ImageNeed(container: $0.name, image: $0.image, policy: $0.pullPolicy) },
      keyring: RegistryKeyring(secrets: secrets.map { StringMap(json: $0["data"]) }))
  }
}

extension PodPlan {
  /// The plan with what its containers' statuses say of their images, for the runs of an image.
  func naming(_ images: [String: ImageRecord]) -> PodPlan {
    guard !images.isEmpty else { return self }
    var plan = self
    plan.initContainers = initContainers.map { $0.naming(images) }
    plan.containers = containers.map { $0.naming(images) }
    return plan
  }
}

extension PodPlan.Container {
  /// The same with what its status says of its image.
  func naming(_ images: [String: ImageRecord]) -> PodPlan.Container {
    guard let record = images[image], let reference = try? ImageReference(image) else { return self }
    var result = self
    result.shownImage = PodPlan.ShownImage(
      name: record.statusName(of: reference), id: record.statusID(of: reference))
    return result
  }
}

extension AgentCore {
  /// What is shown while images are fetched, as by the kubelet.
  static let creating = PreparationFailure(
    container: "", reason: "ContainerCreating", message: "", isRetryable: true)

  /// What is wrong with the bookkeeping of fetches; empty when nothing is. For tests and the simulator.
  package var imageProblems: [String] { pulls.problems }

  /// Fetches that go on or wait for their place.
  package var imagesAwaited: Int { pulls.count }

  var runsImages: Bool { configuration.images.mode == .on }

  /// A body has come: it is prepared once its images are there.
  mutating func askForImages(of assignment: Assignment, _ now: Now) {
    guard runsImages, let request = ImageRequest(assignment) else {
      return beginPreparation(assignment, images: [:])
    }
    follow([(assignment.attempt, pulls.ask(assignment.attempt, request, at: now.boot))], now)
  }

  mutating func follow(_ answers: [(attempt: AttemptNumber, answer: ImageAnswer)], _ now: Now) {
    for (number, answer) in answers {
      if number < 0 { followAddition(number, answer, now) }
      guard let attempt = attempts[number], let assignment = attempt.assignment else { continue }
      let shown: PreparationFailure?
      switch attempt.progress {
      case .imagesAwaited(let failure, _): shown = failure
      case .none, .unprepared: shown = nil
      // It is past that.
      case .preparing, .prepared, .startSent: continue
      }
      switch answer {
      case .ready(let images):
        for id in images.values.map(\.id).sorted() { garbage.used(id, at: now.boot) }
        if !isShuttingDown { beginPreparation(assignment, images: images) }
      case .waiting:
        // While it is tried again, the failure before is still shown.
        wait(assignment, shown ?? Self.creating, shown: shown, retryAt: nil, attempt.leaseEnd)
      case .failed(let failure, let retryAt):
        wait(assignment, failure, shown: shown, retryAt: retryAt, attempt.leaseEnd)
      }
    }
    reconcile(answers.map { additionKeys.owner(of: $0.attempt)?.attempt ?? $0.attempt }, now)
  }

  private mutating func wait(
    _ assignment: Assignment, _ failure: PreparationFailure, shown: PreparationFailure?, retryAt: BootTime?,
    _ leaseEnd: BootTime
  ) {
    attempts[assignment.attempt]?.progress = .imagesAwaited(failure, retryAt: retryAt)
    if shown != failure { tellWaiting(assignment, failure, leaseEnd: leaseEnd) }
  }

  /// What the host has. It is the truth about what may be used from here on.
  mutating func take(_ records: [ImageRecord], _ now: Now) {
    follow(pulls.listed(records, at: now.boot), now)
    imagesChanged(now)
  }

  mutating func imagesChanged(_ now: Now) {
    garbage.present(pulls.catalog.all, at: now.boot)
    images.isListTold = false
  }

  /// The attempt runs or is over: its status says from here on what it uses.
  mutating func releaseImages(of report: AttemptReport, _ now: Now) {
    pulls.release(report.attempt, keeps: false, at: now.boot)
    guard runsImages else { return }
    for id in imageIDs(in: report) { garbage.used(id, at: now.boot) }
  }

  private func imageIDs(in report: AttemptReport) -> [String] {
    report.status.allContainers.compactMap { pulls.catalog.id(ofStatus: $0.imageID) }
  }

  /// The disk has so much room: images that nobody uses may have to go, all of them where the node is short of it.
  /// Gives whether some go.
  mutating func collectImages(_ room: DiskRoom, isShort: Bool, _ now: Now) -> Bool {
    guard runsImages, pulls.isCatalogKnown, keeperLink == .ready else { return false }
    var inUse = pulls.promised
    for number in attempts.keys.sorted() {
      if let report = attempts[number]?.report, !report.isTerminal { inUse.formUnion(imageIDs(in: report)) }
    }
    let leaving = garbage.collect(pulls.catalog, inUse: inUse, room: room, isShort: isShort, at: now.boot)
    for id in leaving {
      pulls.leave(id)
      effects.append(.removeImage(id))
    }
    if !leaving.isEmpty { imagesChanged(now) }
    return !leaving.isEmpty
  }

  /// What time asks for.
  mutating func passImages(_ now: Now) {
    if runsImages { follow(pulls.pass(at: now.boot), now) }
  }

  /// Orders and words of this step.
  mutating func orderImages(_ now: Now) {
    guard runsImages else { return }
    for order in pulls.takeOrders() {
      switch order {
      case .pull(let number, let reference, let credentials):
        effects.append(.pullImage(number, reference, credentials))
      case .cancel(let number): effects.append(.cancelPull(number))
      }
    }
    tellOfImages(now)
  }

  /// To the coordinator, if there is one: what nobody hears is lost, as with the kubelet.
  mutating func pass(_ facts: [PodFact], _ now: Now) {
    guard session != nil, coordinatorLink == .up else { return }
    let told = facts.filter { _ in images.allowance.take(at: now.boot) }
    if !told.isEmpty { effects.append(.send(.events(told))) }
  }

  private mutating func tellOfImages(_ now: Now) {
    let words = pulls.takeWords()
    guard session != nil, coordinatorLink == .up else { return }
    pass(
      words.map { word in
        let attempt = additionKeys.owner(of: word.attempt)?.attempt ?? word.attempt
        return PodFact(attempt: attempt, container: word.container, reason: word.reason, message: word.message)
      }, now)
    if !images.isListTold, pulls.isCatalogKnown {
      images.isListTold = true
      effects.append(.send(.images(NodeImage.shown(pulls.catalog.all.map(NodeImage.init)))))
    }
  }
}

extension NodeImage {
  /// As the kubelet lists it: names with a digest first, then those with a tag.
  init(_ record: ImageRecord) {
    self.init(names: record.digests + record.tags, bytes: record.bytes)
  }
}
