package fhir

import (
	"bytes"
	"strings"

	"github.com/wardflow/wardflow/pkg/dissect/httpbody"
)

// Bodies are those of FHIR.
var Bodies = httpbody.Kind{Wants: wants, Request: request, New: func() httpbody.Reader { return new(reader) }, Limit: 1 << 20}

// The interactions, in the low byte of a tag; above it the type of resource, and whether
// the request is FHIR's beyond doubt.
const (
	read = iota + 1
	vread
	history
	search
	create
	update
	patch
	remove
	batch
	capabilities
	operation

	typeShift = 8
	sure      = 1 << 24
)

var interactions = [...]string{
	read: "read", vread: "vread", history: "history", search: "search", create: "create", update: "update", patch: "patch", remove: "delete",
	batch: "batch", capabilities: "capabilities", operation: "operation",
}

// typeNames are the types of resources (R4 and R5, and the older ones of DSTU2 and
// STU3 that matter); the first is for those that are none of them.
var typeNames = append([]string{"other"}, strings.Fields(`Account ActivityDefinition ActorDefinition AdministrableProductDefinition AdverseEvent AllergyIntolerance Appointment
AppointmentResponse ArtifactAssessment AuditEvent Basic Binary BiologicallyDerivedProduct BodySite BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem
ChargeItemDefinition Citation Claim ClaimResponse ClinicalImpression ClinicalUseDefinition CodeSystem Communication CommunicationRequest CompartmentDefinition Composition ConceptMap
Condition ConditionDefinition Conformance Consent Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceAlert DeviceAssociation DeviceComponent
DeviceDefinition DeviceDispense DeviceMetric DeviceRequest DeviceUsage DeviceUseRequest DeviceUseStatement DiagnosticOrder DiagnosticReport DocumentManifest DocumentReference Encounter
EncounterHistory Endpoint EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceReport EvidenceVariable ExampleScenario ExplanationOfBenefit
FamilyMemberHistory Flag FormularyItem GenomicStudy Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingManifest ImagingSelection ImagingStudy Immunization
ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide Ingredient InsurancePlan InventoryItem InventoryReport Invoice Library Linkage List Location ManufacturedItemDefinition
Measure MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge MedicationOrder MedicationRequest MedicationStatement MedicinalProductDefinition
MessageDefinition MessageHeader MolecularSequence NamingSystem NutritionIntake NutritionOrder NutritionProduct Observation ObservationDefinition OperationDefinition OperationOutcome
Organization OrganizationAffiliation PackagedProductDefinition Parameters Patient PaymentNotice PaymentReconciliation Permission Person PlanDefinition Practitioner PractitionerRole Procedure
ProcedureRequest Provenance Questionnaire QuestionnaireResponse RegulatedAuthorization RelatedPerson RequestGroup RequestOrchestration Requirements ResearchStudy ResearchSubject
RiskAssessment Schedule SearchParameter Sequence ServiceDefinition ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition StructureMap Subscription SubscriptionStatus
SubscriptionTopic Substance SubstanceDefinition SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport TestScript Transport ValueSet VerificationResult VisionPrescription`)...)

var types = func() map[string]int {
	m := map[string]int{}
	for i, s := range typeNames[1:] {
		m[s] = i + 1
	}
	return m
}()

// request judges a request by its method and its path.
func request(m *httpbody.Message) uint32 {
	var parts [4][]byte // the type, and what follows it
	n, kind, named, last := 0, 0, false, []byte(nil)
	for part := range bytes.SplitSeq(m.Path(), []byte("/")) {
		if len(part) == 0 {
			continue
		}
		last = part
		if k := types[string(part)]; k != 0 && (n != 1 || kind == 0) {
			kind, n = k, 0
			parts = [4][]byte{}
		}
		named = named || bytes.EqualFold(part, []byte("fhir"))
		if kind != 0 && n < len(parts) {
			parts[n] = part
			n++
		}
	}
	tag := uint32(kind) << typeShift
	if named || fhirType(m.Type) || bytes.Contains(m.Accept, []byte("fhir")) {
		tag |= sure
	}
	switch {
	case kind == 0 && string(last) == "metadata" && m.Method == "GET":
		return tag | capabilities
	case kind == 0 && len(last) > 0 && last[0] == '$' && tag&sure != 0:
		return tag | operation
	case kind == 0 && m.Method == "POST" && fhirType(m.Type):
		return tag | batch
	case kind == 0:
		return 0
	}
	if i := interaction(m.Method, parts, n); i != 0 {
		return tag | i
	}
	return 0
}

// interaction is what a method does with a type, an instance or a version of it.
func interaction(method string, parts [4][]byte, n int) uint32 {
	for _, p := range parts[1:] {
		if len(p) > 0 && p[0] == '$' {
			return operation
		}
	}
	switch method {
	case "GET", "HEAD":
		switch {
		case n == 1, string(parts[1]) == "_search":
			return search
		case string(parts[1]) == "_history", string(parts[2]) == "_history" && n == 3:
			return history
		case string(parts[2]) == "_history":
			return vread
		}
		return read
	case "POST":
		if n > 1 && string(parts[1]) == "_search" {
			return search
		}
		return create
	case "PUT":
		return update
	case "PATCH":
		return patch
	case "DELETE":
		return remove
	}
	return 0
}

// fhirType holds for the media types of FHIR.
func fhirType(t []byte) bool {
	return bytes.HasPrefix(t, []byte("application/")) && bytes.Contains(t, []byte("fhir"))
}

// jsonType holds for JSON that may be anything.
func jsonType(t []byte) bool { return string(t) == "application/json" || string(t) == "text/json" }

func wants(m *httpbody.Message) bool { return m.Tag != 0 || fhirType(m.Type) || jsonType(m.Type) }
