"""Invented kinds of report: their roles, vocabulary and sentence patterns.

Patterns hold `{slots}`, filled by `report_parts.Writer`, and `[one|of|several]` alternatives. Sentences never name
a person, an address or a point in time outside a slot, so what a report states is known exactly.
"""
from __future__ import annotations

from dataclasses import dataclass, replace


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


@dataclass(frozen=True)
class Kind:
    """One kind of report. Names of roles are nouns in title case; lists are tuples of strings."""

    event: str
    official: str
    titles: tuple[str, ...]
    number: tuple[str, ...]
    number_forms: tuple[str, ...]
    subject: str
    people: tuple[str, ...]
    business: float
    witness: str
    items_label: tuple[str, ...]
    items_headings: tuple[str, ...]
    described: str
    person_described: bool
    types: tuple[str, ...]
    things: tuple[str, ...]
    places: tuple[str, ...]
    spots: tuple[str, ...]
    items: tuple[str, ...]
    statuses: tuple[str, ...]
    summaries: tuple[str, ...]
    body: tuple[str, ...]
    steps: tuple[str, ...]
    endings: tuple[str, ...]
    ages: tuple[int, int] = (18, 88)


TAKING = Kind(
    "Crime", "Officer", ("Officer",) * 6 + ("Sgt.", "Detective", "Constable", "Deputy", "Inspector"),
    ("Badge", "Number"), ("Badge #{id}", "Badge {id}", "badge no. {id}", "Badge Number: {id}", "badge #{id}"),
    "Victim", _list("homeowner; shop assistant; student; retired teacher; commuter; tourist; nurse; taxi driver; cyclist"),
    0.4, "Witness", ("Evidence", "Type"), ("Evidence Collected", "Evidence", "Items of Evidence", "Physical Evidence"),
    "Suspect", True,
    _list("Theft; Burglary; Robbery; Shoplifting; Vehicle Theft; Bicycle Theft; Pickpocketing; Armed Robbery; Break-in"),
    _list("violin; laptop; gold bracelet; camera drone; cash box; delivery van; mountain bike; coin collection; wallet; "
          "generator; sewing machine; oil painting; tablet; wristwatch; chainsaw; handbag; projector; trumpet"),
    _list("bakery; pharmacy; terraced house; ferry terminal; garage; jewellery shop; allotment; gym; flower market; "
          "guest house; allotment shed; vineyard office; second-floor apartment; library; car wash; tailor's shop"),
    _list("back door; side window; stockroom door; cellar door; loading gate; skylight; bedroom window; front entrance; "
          "garage door; fire exit; balcony door; staff entrance"),
    _list("security camera recording; pry marks on the {spot}; partial fingerprints; muddy shoe prints; ~broken padlock; "
          "~torn jacket sleeve; ~cigarette end; ~abandoned crowbar; tyre tracks; strands of hair; ~receipt for {a_thing}; "
          "glass splinters; ~blue fibre sample; ~screwdriver; ~dropped key ring; alarm log; ~phone video; ~knit cap"),
    _list("Under Investigation; Open; Closed; Pending; Suspended; Active; Cleared by Arrest; Awaiting Lab Results; "
          "Referred to Detectives; Inactive"),
    ("{A_thing} [was stolen|disappeared] from {a_place} while [staff were|the owner was|nobody was] [upstairs|on a break|nearby].",
     "[Someone|An intruder|An unknown person] [forced|broke open] the {spot} of {a_place} and [left with|carried off] {a_thing}.",
     "{A_thing} and {a_thing2} were [reported missing|taken] after a [break-in|quick raid] at {a_place}.",
     "The {subject_word} [noticed|discovered] that {a_thing} had been removed from the {spot} of {a_place}.",
     "A [lone thief|pair of thieves|hooded person] [grabbed|snatched] {a_thing} near the {spot} of {a_place}."),
    ("The {spot} [had been|was found] [forced|left ajar|unlocked] and {a_thing2} [lay|was found] on the floor.",
     "{Subject_again} last saw the {thing} at [about|approximately|around] {clock} and noticed the loss [soon after|on returning].",
     "Nothing else [seems|appears] to be missing, although the {spot2} [had been|was] tried as well.",
     "The insurance of the {place} is handled by {person} [of|at] {company2}.",
     "The alarm [was switched off|did not sound|went off at {clock}].",
     "The thief [left through|is thought to have entered by] the {spot} and [ran|walked] towards the [station|river|car park]."),
    ("[Check|Collect] recordings from the [tram stop|petrol station|shops] nearby.",
     "{Official_again} will [visit|ring] local [pawn shops|second-hand dealers] about the {thing}.",
     "The [serial number|description] of the {thing} [has been|will be] [circulated|entered in the database]."),
    ("The [case|matter] [stays|remains] open until the {thing} is [found|recovered].",
     "No arrest has been made [so far|yet], and further [leads|tips] are being followed.",
     "The [inquiry|investigation] [goes on|continues] and {subject_again} will be kept informed."))

DAMAGE = replace(
    TAKING, types=_list("Vandalism; Arson; Property Damage; Criminal Damage; Graffiti; Trespassing; Illegal Dumping"),
    things=_list("bus shelter; front gate; statue; greenhouse; parked car; shop sign; garden wall; vending machine; mural; "
                 "ticket machine; playground slide; mailbox; bench; fishing boat; scoreboard"),
    items=_list("~empty spray can; paint flakes; ~soot sample; ~half-burnt rag; ~brick with fibres; ~lighter; ~glove; "
                "photographs of the {thing}; ~boot print near the {spot}; ~doorbell camera clip; ~petrol canister; "
                "~marker pen; ~discarded mask; bolt cutter; ~handwritten note; ~broken bottle"),
    summaries=("{A_thing} [beside|outside] {a_place} was [smashed|set alight|covered in paint|badly scratched].",
               "[Vandals|Unknown persons] damaged {a_thing} and {a_thing2} at {a_place}.",
               "A [passer-by|caretaker] found {a_thing} [wrecked|defaced|burning] near the {spot} of {a_place}.",
               "[Several|At least {n}] windows of {a_place} were broken and {a_thing} was [tipped over|ruined]."),
    body=("The damage was [noticed|found] at {clock}, but the {thing} had been intact [the evening before|earlier that day].",
          "[Red|Green|Silver|Yellow] paint covered the {spot} and part of the {spot2}.",
          "Two [people|figures] were seen running from the {spot} shortly [before|after] {clock}.",
          "Repairs to the {thing} will have to wait until [the insurer agrees|photographs are taken].",
          "{Subject_again} had [locked|checked] the {spot} and [noticed nothing unusual|seen no strangers]."),
    steps=("{Official_again} will compare the marks with [earlier|similar] cases.",
           "[Ask|Question] residents who [walk their dogs|park] near the {place}.",
           "The samples [go|were sent] to the laboratory for comparison."))

DECEIT = replace(
    TAKING, types=_list("Fraud; Identity Theft; Forgery; Cybercrime; Embezzlement; Extortion; Online Scam; Credit Card Fraud"),
    things=_list("bank transfer; forged cheque; fake invoice; rental deposit; gift card; online order; loan contract; ticket resale"),
    places=_list("travel agency; credit union; care home; car dealership; flat-share; consulting firm; wine merchant; charity"),
    spots=_list("front office; reception; accounts department; online portal; customer desk; mailroom; payroll system"),
    items=_list("bank statements; e-mail headers; screenshots of the chat; ~copy of the {thing}; call log; ~forged signature; "
                "server log; ~courier slip; ~recorded voicemail; ~payment receipt; fake letterhead; ~prepaid phone; browser history"),
    summaries=("A caller [persuaded|talked] the {subject_word} into paying for {a_thing} that [did not exist|was never ordered].",
               "Money was [lost|withdrawn] through {a_thing} sent to {a_place}.",
               "[Someone|A stranger] used stolen details to arrange {a_thing} in the name of the {subject_word}.",
               "Staff of {a_place} [uncovered|reported] {a_thing} made with a false name."),
    body=("The [message|call] arrived at {clock} and [asked|pressed] for payment within [the hour|a day].",
          "{Subject_again} became suspicious when {a_thing2} [appeared|was requested] as well.",
          "The account behind the {thing} was opened under the name {person}.",
          "[Two|Three] further payments were stopped by the bank before they left the {spot}.",
          "The sender used an address that resembled the one of the {place}."),
    steps=("The bank has been asked to [freeze|trace] the account.",
           "{Official_again} will request [log files|subscriber data] from the provider.",
           "{Subject_again} was advised to change all passwords and [watch|check] further statements."),
    endings=("The [loss|money] has not been recovered.", "The file was [copied|passed] to the [fraud|economic crime] unit.",
             "[Inquiries|Checks] with the bank [continue|are not finished]."))

VIOLENCE = replace(
    TAKING, types=_list("Assault; Harassment; Stalking; Threats; Public Disorder; Battery; Domestic Disturbance; Hit and Run"),
    things=_list("scooter; wine bottle; umbrella; walking stick; pool cue; bicycle chain; folding chair; delivery cart"),
    places=_list("night bus; tavern; football ground; car park; hostel; concert hall; barber shop; canal path; food court"),
    spots=_list("entrance; ticket barrier; bar; back row; smoking area; staircase; exit; kiosk; pavement"),
    items=_list("~torn shirt; ~blood sample; ~broken {thing}; ~medical certificate; ~phone video; threatening text messages; "
                "body camera recording; photographs of the bruises; spilled drink sample; paint chips; ~headlight fragment; "
                "~witness sketch; ~damaged phone; ~taxi receipt"),
    summaries=("An argument at {a_place} ended with the {subject_word} being [pushed|struck with {a_thing}].",
               "The {subject_word} was [threatened|followed|attacked] near the {spot} of {a_place}.",
               "A [dispute|quarrel] over {a_thing} turned violent outside {a_place}.",
               "[Staff|Guests] separated two people after one was hit with {a_thing} at {a_place}."),
    body=("The quarrel began at the {spot} [around|at about] {clock} and moved to the {spot2}.",
          "{Subject_again} was treated for [a cut|bruises|a sprained wrist] and sent home.",
          "[Guests|Bystanders] called for help and kept the two apart.",
          "The attacker dropped {a_thing} and [fled|left] on foot.",
          "The {place} is rented to {person}, who was [abroad|not there] that day."),
    steps=("{Official_again} will [hear|interview] everyone who was at the {spot}.", "A sketch is being [drawn|prepared].",
           "A [restraining|protection] order has been [discussed|requested]."))

ACCIDENT = Kind(
    "Incident", "Investigator", ("", "Patrol Officer", "Warden", "Trooper", "Mr.", "Ms."), ("ID", "Number"),
    ("ID {id}", "unit {id}", "No. {id}", "ID: {id}"), "Driver", _list("courier; bus driver; farmer; learner driver; plumber"),
    0.1, "Bystander", ("Damage", "Item"), ("Damage", "Damage Recorded", "Damaged Parts"), "Vehicle", False,
    _list("Rear-end Collision; Skid; Multi-vehicle Collision; Rollover; Near Miss; Pedestrian Contact; Load Spill; Derailment"),
    _list("van; tram; tractor; motorcycle; horse trailer; minibus; cement truck; cargo bike; tanker; hatchback"),
    _list("roundabout; level crossing; farm track; ring road; bridge; school crossing; tunnel; harbour ramp"),
    _list("left lane; kerb; crash barrier; junction; hard shoulder; slip road; lay-by; cycle lane"),
    _list("~cracked windscreen; ~dented bonnet; ~bent axle; ~torn tyre; ~smashed tail light; ~scraped door; ~broken mirror; "
          "leaking radiator; bent road sign; twisted bicycle frame; loose bumper; flattened fence post"),
    _list("Cleared; Road Reopened; Under Review; Lane Closed; Open; With Insurers"),
    ("{A_thing} [slid|skidded] into {a_thing2} at {a_place} [in heavy rain|on black ice|in low sun].",
     "{A_thing} lost part of its load near the {spot} of {a_place}.",
     "Traffic stopped at {a_place} after {a_thing} [hit|clipped] the {spot}."),
    ("The {thing} came to rest [on|beside] the {spot}.", "The road was closed until {clock} and traffic was sent past the {spot2}.",
     "A tow truck from {company2} removed the {thing}.", "{Subject_again} had [braked|swerved] to avoid [a deer|a fallen branch].",
     "The surface was [wet|icy|covered with leaves] and visibility was [poor|fair]."),
    ("{Official_again} will measure the [skid marks|stopping distance] again in daylight.", "Dash camera recordings have been requested."),
    ("Nobody was [seriously|badly] hurt.", "The [council|road office] was asked to renew the markings."))

MAINTENANCE = Kind(
    "Fault", "Technician", ("", "", "Eng.", "Technician", "Senior Technician", "Mr.", "Ms."), ("Employee", "ID"),
    ("employee {id}", "staff ID {id}", "ID {id}", "#{id}"), "Client", _list("caretaker; site manager; tenant; night porter"),
    0.6, "Operator", ("Parts", "Used"), ("Parts Used", "Materials", "Replaced Parts", "Spare Parts"), "Equipment", False,
    _list("Leak; Overheating; Electrical Fault; Worn Bearing; Blocked Filter; Calibration; Routine Service; Software Error; Noise"),
    _list("boiler; passenger lift; conveyor; chiller; water pump; compressor; dishwasher; forklift; fume hood; roller shutter"),
    _list("hospital laundry; paper mill; swimming pool; office tower; bottling plant; school kitchen; cold store; theatre"),
    _list("plant room; roof; basement; control cabinet; machine hall; service shaft; pump house; boiler room"),
    _list("~drive belt; gasket set; ~pressure valve; fuse {code}; bearing {code}; ~inlet filter; ~hose clamp; ~relay; thermostat; "
          "circuit board {code}; litre of gear oil; copper pipe; ~door sensor; ~fan blade; cable gland; ~seal ring"),
    _list("Completed; In Progress; Waiting for Parts; Deferred; Closed; Handed Over; Needs Follow-up"),
    ("The {thing} in the {spot} [stopped|failed|shut down] [without warning|during a test run].",
     "A [worn|broken] part in the {thing} was replaced and the {place} is back in use.",
     "The {thing} was serviced after complaints about [noise|smell|low pressure] in the {spot}."),
    ("The {thing} [was isolated|was drained|cooled down] before the cover came off.", "A test run until {clock} showed no further [leak|alarm|vibration].",
     "Readings in the {spot} were {n} percent [above|below] the limit.", "A second {thing} in the {spot2} shows [early|the same] signs of wear.",
     "The spare came from {company2} under order {code}.", "The log shows a similar stop on {day}."),
    ("Check the {thing} again after {n} [operating hours|days].", "Order a second [seal|filter|sensor] for the store."),
    ("The {thing} may be used without limits.", "The {spot} was left clean and [locked|lit]."))

MEDICAL = Kind(
    "Visit", "Doctor", ("Dr.", "Dr.", "Dr.", "Nurse", "Prof."), ("License", "Number"), ("license {id}", "reg. no. {id}", "License #{id}", "ID {id}"),
    "Patient", _list("office worker; carpenter; dancer; pensioner; violin teacher; cook; warehouse worker"), 0.0, "Relative",
    ("Symptoms",), ("Symptoms", "Presenting Complaints", "Complaints"), "Aid", False,
    _list("Check-up; Emergency Visit; Follow-up; Vaccination; Physiotherapy; Eye Test; Telephone Consultation; Dental Check"),
    _list("knee brace; inhaler; bandage; hearing aid; blood pressure cuff; wrist splint; wheelchair"),
    _list("clinic; ward; day surgery; walk-in centre; eye hospital; rehabilitation centre"),
    _list("left knee; right shoulder; lower back; left ear; forearm; right hip; jaw; left thumb"),
    _list("~dry cough; ~mild fever; pain in the {spot}; dizziness; ~swollen ankle; blurred vision; ~skin rash; loss of appetite; "
          "~sore throat; ~stiff neck; ringing in the ears; shortness of breath; numb fingers; back pain"),
    _list("Discharged; Stable; Referred; Under Observation; Recovering; Admitted; Follow-up Needed"),
    ("The {subject_word} came to the {place} with [pain|stiffness|swelling] that had [grown worse|lasted for {n} days].",
     "A {n}-day-old [injury|complaint] was examined and {a_thing} was [prescribed|fitted].",
     "The {subject_word} [recovered well|felt better] and needs {a_thing} for [some days|{n} more weeks]."),
    ("Blood pressure was measured at {clock} and [again before leaving|found normal].", "The {thing} caused [no|slight] discomfort.",
     "{Subject_again} [sleeps badly|works at night|does not smoke] and takes no other medicine.",
     "A similar episode on {day} [passed|ended] without treatment.", "{Official_again} explained how to use the {thing}."),
    ("[Rest|Gentle exercise] for {n} days.", "{Subject_again} should return if the [pain|fever] comes back.", "A blood test is planned."),
    ("The [outlook|prognosis] is good.", "No further treatment is needed [at present|for now]."))

CLAIM = Kind(
    "Claim", "Adjuster", ("", "Mr.", "Ms.", "Mrs.", "Adjuster"), ("Agent", "Code"), ("agent code {id}", "code {id}", "agent {id}"),
    "Claimant", _list("policyholder; landlord; tenant; restaurant owner; boat owner"), 0.5, "Neighbour",
    ("Damaged", "Items"), ("Damaged Items", "Items Claimed", "Property Claimed", "List of Losses"), "Property", False,
    _list("Water Damage; Fire; Storm; Burglary; Glass Breakage; Lost Luggage; Liability; Hail; Frost Damage"),
    _list("roof; ceiling; kitchen floor; piano; carpet; freezer; garden shed; display case; sailing boat; stage curtain"),
    _list("cottage; warehouse; dance studio; holiday flat; bookshop; workshop; bistro; marina"),
    _list("attic; cellar; ground floor; storeroom; terrace; bathroom; showroom; loft"),
    _list("~oak table; {n} metres of carpet; freezer contents; ~wall clock; ~sound system; ~leather sofa; bookshelf; ~coffee machine; "
          "set of curtains; ~framed print; ~washing machine; tool cabinet; ~antique lamp; box of wine"),
    _list("Approved; Rejected; Under Review; Paid; Awaiting Documents; Settled; Open"),
    ("[A burst pipe|A storm|Frost|A blocked drain] [damaged|ruined] the {thing} of {a_place}.",
     "Water from the {spot} reached the {thing} and left {a_thing2} [useless|stained].",
     "The {subject_word} claims for {a_thing} [broken|lost] during [a move|a storm] at {a_place}."),
    ("The {spot} was dry again by {clock}.", "A quotation from {company2} covers the {thing} only.", "The policy was last renewed on {day}.",
     "Photographs show the {thing} before and after the [event|damage].", "Wear of the {thing2} is [not covered|deducted]."),
    ("Receipts for the {thing} must follow within {n} days.", "{Official_again} will visit the {spot} once more."),
    ("The sum will be paid [after|once] the papers are complete.", "Cover for the {spot} is [confirmed|in doubt]."))

INSPECTION = replace(
    MAINTENANCE, event="Inspection", official="Inspector", titles=("Inspector", "", "Dr.", "Ms.", "Mr."),
    number=("Permit", "Number"), number_forms=("permit {id}", "Permit No. {id}", "ID {id}"), subject="Establishment",
    people=_list("licence holder; head cook; farm manager"), business=1.0, witness="Attendee", items_label=("Findings",),
    items_headings=("Findings", "Defects Found", "Violations", "Observations"), described="Object",
    types=_list("Food Hygiene; Fire Safety; Building Check; Animal Welfare; Air Quality; Playground Safety; Annual Audit; Lift Test"),
    items=_list("~blocked fire exit; ~missing label; expired extinguisher; unlit stairway; loose handrail; mould in the {spot}; "
                "uncovered food bins; ~faulty smoke detector; cracked tiles; no hot water in the {spot}; worn electrical cable"),
    statuses=_list("Passed; Failed; Passed with Conditions; Re-inspection Required; Closed; Pending"),
    summaries=("The {place} [met|did not meet] the requirements because of the state of the {spot}.",
               "[Minor|Serious|No serious] defects were found in the {spot} and near the {thing}.",
               "A [planned|surprise] visit to the {place} showed that the {thing} [needs repair|is in good order]."),
    steps=("The {thing} must be [repaired|checked] within {n} days.", "A second visit to the {spot} will follow."),
    endings=("The licence [stays valid|is suspended].", "All defects are to be put right at the owner's cost."))

MATCH = Kind(
    "Match", "Referee", ("", "Mr.", "Ms.", "Referee"), ("Licence", "Number"), ("licence {id}", "No. {id}", "ref. {id}"), "Player",
    _list("goalkeeper; captain; left winger; substitute; defender"), 0.0, "Assistant", ("Offences",), ("Offences", "Cards and Penalties", "Sanctions"),
    "Offender", True, _list("League Match; Friendly; Cup Final; Quarter-final; Youth Match; Relay; Exhibition Match; Semi-final"),
    _list("corner flag; goal net; scoreboard; ball; floodlight; team bus"), _list("stadium; sports hall; school field; ice rink; town arena"),
    _list("penalty area; centre circle; touchline; dressing room; main stand; bench"),
    _list("yellow card for holding; red card for a late tackle; time wasting; dissent; foul near the {spot}; illegal substitution; "
          "throwing the {thing}; entering the {spot} without leave; two-minute suspension"),
    _list("Final; Abandoned; Postponed; Result Confirmed; Under Appeal; Replay Ordered"),
    ("The home side [won|lost|drew] after a [goal|mistake] in minute {n}.", "Play was [stopped|interrupted] when the {thing} [broke|failed].",
     "A [late|disputed] goal from the {spot} decided the game."),
    ("The second half began at {clock} because the {thing} had to be [repaired|replaced].", "About {n} hundred people watched from the {spot}.",
     "{Subject_again} [limped off|was replaced|scored twice] in minute {n}.", "The earlier meeting on {day} had ended level.",
     "The visiting coach, {person}, [praised|criticised] the crowd."),
    ("The [league|panel] will decide on a ban.", "The {thing} must be [renewed|inspected] before the next round."),
    ("The teams shook hands.", "The result stands [unless an appeal is lodged|as recorded]."), ages=(16, 38))

DELIVERY = Kind(
    "Complaint", "Agent", ("", "", "Ms.", "Mr.", "Agent"), ("Employee", "ID"), ("agent {id}", "ID {id}", "desk {id}", "#{id}"), "Customer",
    _list("first-time buyer; restaurant owner; student; pensioner"), 0.35, "Recipient", ("Missing", "Items"),
    ("Missing Items", "Affected Goods", "Products", "Items Reported"), "Package", False,
    _list("Late Delivery; Damaged Parcel; Wrong Item; Lost Parcel; Rude Service; Overcharge; Incomplete Order; Cold Food"),
    _list("parcel; crate; food order; mattress; bookcase; flower box; pallet"), _list("depot; parcel shop; front garden; office lobby; flat"),
    _list("doorstep; porch; gate; reception desk; bicycle shed; letter box; ramp"),
    _list("~ceramic bowl; ~phone charger; pack of {n} screws; ~lamp shade; green tea; desk leg; ~winter coat; jar of honey; pair of boots; "
          "~birthday card; {word} kit; set of towels; coffee beans; noodle soup"),
    _list("Open; Resolved; Refunded; Escalated; Replacement Sent; Closed; Waiting for Customer"),
    ("The {thing} [arrived {n} days late|never arrived|was left in the rain].", "The {subject_word} received {a_thing} meant for [someone else|another street].",
     "Part of the {thing} was [broken|missing] when it reached the {place}."),
    ("The courier [rang once|left no card|refused to wait] and put the {thing} by the {spot}.", "Tracking number {code} still shows the {thing} at the {place}.",
     "{Subject_again} called at {clock} and waited {n} minutes.", "An earlier order of {day} came without trouble.",
     "The driver for {company2} gave his name as {person}."),
    ("Send a [replacement|refund] within {n} days.", "{Official_again} will [ring|write to] the depot about the {thing}."),
    ("{Subject_again} accepted [a voucher|the apology].", "The [case|complaint] will be reviewed by the [shift|team] lead."))

LAB = Kind(
    "Experiment", "Researcher", ("Dr.", "Prof.", "", "Ms."), ("Lab", "ID"), ("lab ID {id}", "ID {id}", "station {id}"), "Participant",
    _list("volunteer; first-year student; control subject"), 0.1, "Observer", ("Materials",), ("Materials", "Samples", "Apparatus", "Instruments"),
    "Device", False, _list("Titration; Growth Trial; Stress Test; Memory Test; Calibration Run; Field Test; Spectroscopy; Taste Panel"),
    _list("spectrometer; incubator; pendulum; centrifuge; soil column; sensor array"), _list("teaching lab; greenhouse; clean room; field station"),
    _list("fume hood; bench three; cold room; dark chamber; balance table; window shelf"),
    _list("distilled water; {n} ml of ethanol; copper wire; ~petri dish; ~stopwatch; litmus paper; filter {code}; ~glass rod; sample {code}; "
          "thermometer; sea salt; bean seedlings; ~laser pointer"),
    _list("Completed; Aborted; Repeated; Inconclusive; In Progress; Awaiting Analysis"),
    ("The {thing} [confirmed|contradicted] the expected [trend|value] within {n} percent.", "[Growth|Temperature|Reaction time] [rose|fell] steadily during the run.",
     "The run was stopped because the {thing} [drifted|overheated]."),
    ("The {thing} was warmed up until {clock}.", "Reading {n} was [discarded|repeated] after a draught from the {spot}.", "The series of {day} gave [higher|lower] values.",
     "Results were stored under {code}.", "The {thing} was borrowed from {company2}."),
    ("Repeat with {n} samples.", "{Official_again} will recalibrate the {thing}."), ("The data support the [first|second] hypothesis.", "More runs are needed."))

EXPEDITION = Kind(
    "Expedition", "Leader", ("", "Capt.", "Dr.", "Guide", "Ranger"), ("Permit", "Number"), ("permit {id}", "permit no. {id}", "pass {id}"), "Hiker",
    _list("porter; geologist; photographer; beginner; ornithologist"), 0.0, "Companion", ("Equipment", "Lost"),
    ("Equipment", "Gear Lost", "Finds", "Supplies"), "Gear", False,
    _list("Summit Attempt; River Crossing; Cave Survey; Bird Count; Rescue; Glacier Walk; Sea Passage; Camp Move"),
    _list("tent; canoe; radio; sledge; rope ladder; stove; compass"), _list("base camp; mountain hut; river delta; glacier; island; gorge"),
    _list("north ridge; landing place; upper camp; cave mouth; ford; saddle; moraine"),
    _list("~ice axe; ~water filter; {n} tins of beans; ~blue tarpaulin; ~head torch; ~signal flare; map of the {spot}; bird skull; quartz crystal; "
          "~broken ski; length of rope; ~spare battery; snow goggles"),
    _list("On Schedule; Delayed; Turned Back; Completed; Missing; Safe; Resting"),
    ("The party [reached|left] the {spot} with {a_thing} [damaged|missing].", "[Fog|Wind|High water] forced the group back to the {place}.",
     "{A_thing} was lost while crossing the {spot}."),
    ("We [rested|waited] at the {spot} until {clock}.", "The {thing} was repaired with [wire|tape|string].", "{Subject_again} [felt unwell|led the way|stayed behind].",
     "Supplies ordered from {company2} should last {n} days.", "Tracks from {day} were still visible near the {spot2}."),
    ("Move the {thing} to the {spot2} at first light.", "Send word to the {place} by radio."), ("Spirits are [high|low].", "All are [well|tired but safe]."))

OUTAGE = replace(
    MAINTENANCE, event="Outage", official="Engineer", titles=("", "", "Ms.", "Mr.", "Engineer"), number=("Staff", "Number"),
    subject="Customer", people=_list("remote worker; lab head; web shop owner"), witness="Reporter", items_label=("Affected", "Services"),
    items_headings=("Affected Services", "Systems Affected", "Services Down"), described="Device",
    types=_list("Network Outage; Data Loss; Login Failure; Slow Response; Power Cut; Security Alert; Failed Update"),
    things=_list("router; mail server; database; load balancer; storage array; backup job; print server"),
    places=_list("data centre; branch office; campus; call centre"), spots=_list("rack {n}; server room; second floor; west wing; test network"),
    items=_list("payroll portal; e-mail; booking system; guest Wi-Fi; file share; door access; phone lines; {word} dashboard; host {code}"),
    statuses=_list("Resolved; Monitoring; Investigating; Mitigated; Open; Closed"),
    summaries=("The {thing} [stopped answering|restarted by itself|ran out of space] and users of the {place} were [cut off|logged out].",
               "A [wrong|missing] setting on the {thing} [slowed down|blocked] the {place}."),
    steps=("Add an alarm for the {thing}.", "{Official_again} will [test|document] the restart."), endings=("Service is [stable|back to normal].",))

SCHOOL = replace(
    VIOLENCE, event="Incident", official="Teacher", titles=("Mr.", "Ms.", "Mrs.", "Miss", "Coach"), number=("Room", "Number"),
    number_forms=("room {id}", "Room {id}"), subject="Student", business=0.0, ages=(6, 18), people=_list("Year 7 pupil; exchange student; class captain"),
    items_label=("Action", "Taken"), items_headings=("Actions Taken", "Measures", "Steps Taken"), described="Object", person_described=False,
    types=_list("Bullying; Injury; Absence; Lost Property; Damage; Cheating; Late Arrival; Playground Accident"),
    things=_list("ladder; skipping rope; lunch box; football; microscope; rucksack; paint pot"), places=_list("playground; science room; school bus; gym; canteen"),
    spots=_list("climbing frame; corridor; cloakroom; back row; bike stand; stage"),
    items=_list("call to the parents; ~cold compress; ~written warning; talk with the class; ~seat change; apology letter; visit to the school nurse; "
                "loan of {a_thing}; detention"),
    statuses=_list("Closed; Parents Informed; Open; Under Review; Resolved"),
    summaries=("A [game|lesson] in the {place} ended when {a_thing} [fell|broke].", "The {subject_word} [tripped over|dropped] {a_thing} near the {spot}.",
               "Two classes disagreed about {a_thing} at the {spot}."),
    body=("The bell had rung at {clock} and the {spot} was [crowded|empty].", "{Subject_again} [was calm|cried|laughed] and went back to class.",
          "The {thing} belongs to {person}.", "A similar case was noted on {day}."),
    steps=("{Official_again} will speak with the class.", "The {thing} will be kept [in the office|out of reach]."), endings=("No further action is planned.",))

CRIMES = (TAKING, TAKING, DAMAGE, DECEIT, VIOLENCE)
OTHERS = (ACCIDENT, MAINTENANCE, MEDICAL, CLAIM, INSPECTION, MATCH, DELIVERY, LAB, EXPEDITION, OUTAGE, SCHOOL)
